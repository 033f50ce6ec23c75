-- Two contacts that are one person, and the way back. `merged_into` marks the contact that gave everything away.
ALTER TABLE contacts ADD COLUMN merged_into uuid;
--> statement-breakpoint
ALTER TABLE contacts ADD FOREIGN KEY (tenant_id, merged_into) REFERENCES contacts (tenant_id, id);
--> statement-breakpoint
-- `moved` names every row that changed its owner, so that an undo gives back exactly those.
CREATE TABLE contact_merges (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  from_id uuid NOT NULL,
  into_id uuid NOT NULL,
  moved jsonb NOT NULL,
  merged_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  undone_at timestamptz,
  FOREIGN KEY (tenant_id, from_id) REFERENCES contacts (tenant_id, id),
  FOREIGN KEY (tenant_id, into_id) REFERENCES contacts (tenant_id, id)
);
--> statement-breakpoint
CREATE INDEX contact_merges_into ON contact_merges (tenant_id, into_id, id DESC);
--> statement-breakpoint
SELECT trunkline_secure('contact_merges');
--> statement-breakpoint
-- Lists by number and by contact, and the archive's update of one number's conversations, without reading the whole tenant.
-- None of these columns changes while a conversation goes on, so its updates stay in their page (HOT).
CREATE INDEX conversations_number ON conversations (number_id, id DESC);
--> statement-breakpoint
CREATE INDEX conversations_contact ON conversations (contact_id, id DESC);
--> statement-breakpoint
CREATE INDEX contact_identities_value ON contact_identities (tenant_id, value) WHERE ended_at IS NULL;
