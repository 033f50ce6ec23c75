-- ── Numbers, prompts, agents ──────────────────────────────────────────────────────────────────────────────────────────
CREATE TABLE phone_numbers (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  channel text NOT NULL,
  address text NOT NULL,
  name text NOT NULL,
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'stopped', 'deleted')),
  stop_reason text,
  credentials_sealed bytea NOT NULL,
  settings jsonb NOT NULL DEFAULT '{}',
  -- Order: 'number' retires every turn of the number in order, 'conversation' only those of one conversation.
  order_mode text NOT NULL DEFAULT 'number' CHECK (order_mode IN ('number', 'conversation')),
  window_size int NOT NULL DEFAULT 16 CHECK (window_size BETWEEN 1 AND 256),
  coalesce_ms int NOT NULL DEFAULT 1000 CHECK (coalesce_ms BETWEEN 0 AND 60000),
  head_deadline_ms int NOT NULL DEFAULT 120000 CHECK (head_deadline_ms BETWEEN 1000 AND 3600000),
  created_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz,
  UNIQUE (tenant_id, id),
  FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id)
);
--> statement-breakpoint
CREATE UNIQUE INDEX phone_numbers_address ON phone_numbers (tenant_id, channel, address) WHERE deleted_at IS NULL;
--> statement-breakpoint
CREATE INDEX phone_numbers_tenant ON phone_numbers (tenant_id, created_at DESC);
--> statement-breakpoint
SELECT trunkline_secure('phone_numbers');
--> statement-breakpoint
CREATE TABLE prompts (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  name text NOT NULL,
  current_version int NOT NULL DEFAULT 1,
  archived_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant_id, id),
  FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id)
);
--> statement-breakpoint
CREATE INDEX prompts_tenant ON prompts (tenant_id, created_at DESC);
--> statement-breakpoint
SELECT trunkline_secure('prompts');
--> statement-breakpoint
CREATE TABLE prompt_versions (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  prompt_id uuid NOT NULL,
  version int NOT NULL,
  content jsonb NOT NULL,
  note text NOT NULL DEFAULT '',
  created_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant_id, id),
  UNIQUE (prompt_id, version),
  FOREIGN KEY (tenant_id, prompt_id) REFERENCES prompts (tenant_id, id)
);
--> statement-breakpoint
SELECT trunkline_secure('prompt_versions');
--> statement-breakpoint
CREATE TRIGGER prompt_versions_immutable BEFORE UPDATE OR DELETE ON prompt_versions FOR EACH ROW EXECUTE FUNCTION trunkline_append_only();
--> statement-breakpoint
-- An agent is one binding of one prompt to one number. A relink ends the row and begins another.
CREATE TABLE agents (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  name text NOT NULL,
  number_id uuid NOT NULL,
  prompt_id uuid NOT NULL,
  -- Null follows the prompt's current version.
  pinned_version int,
  ended_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant_id, id),
  FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id),
  FOREIGN KEY (tenant_id, number_id) REFERENCES phone_numbers (tenant_id, id),
  FOREIGN KEY (tenant_id, prompt_id) REFERENCES prompts (tenant_id, id)
);
--> statement-breakpoint
CREATE UNIQUE INDEX agents_one_per_number ON agents (number_id) WHERE ended_at IS NULL;
--> statement-breakpoint
CREATE INDEX agents_tenant ON agents (tenant_id, created_at DESC);
--> statement-breakpoint
SELECT trunkline_secure('agents');
--> statement-breakpoint
-- A tenant's own vendor keys (BYOK). `vendor` is core's VendorId.
CREATE TABLE vendor_keys (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id),
  vendor text NOT NULL,
  base_url text,
  key_sealed bytea NOT NULL,
  last_four text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant_id, vendor)
);
--> statement-breakpoint
SELECT trunkline_secure('vendor_keys');
--> statement-breakpoint
-- Named secrets that tools' headers may use as {{secret.NAME}}.
CREATE TABLE tool_secrets (
  tenant_id uuid NOT NULL REFERENCES tenants (id),
  name text NOT NULL,
  value_sealed bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, name)
);
--> statement-breakpoint
SELECT trunkline_secure('tool_secrets');
--> statement-breakpoint

-- ── Contacts, conversations, messages ─────────────────────────────────────────────────────────────────────────────────
CREATE TABLE contacts (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id),
  name text,
  fields jsonb NOT NULL DEFAULT '{}',
  opted_out_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant_id, id)
);
--> statement-breakpoint
SELECT trunkline_secure('contacts');
--> statement-breakpoint
-- `scope` is '' where the identity means one person everywhere in the tenant (phone, WhatsApp user id) and our address where
-- the supplier scopes it (Instagram IGSID, web visitor). `ended_at` keeps what a person was known by before.
CREATE TABLE contact_identities (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  kind text NOT NULL,
  scope text NOT NULL DEFAULT '',
  value text NOT NULL,
  source text NOT NULL,
  ended_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  FOREIGN KEY (tenant_id, contact_id) REFERENCES contacts (tenant_id, id)
);
--> statement-breakpoint
CREATE UNIQUE INDEX contact_identities_live ON contact_identities (tenant_id, kind, scope, value) WHERE ended_at IS NULL;
--> statement-breakpoint
CREATE INDEX contact_identities_contact ON contact_identities (tenant_id, contact_id);
--> statement-breakpoint
SELECT trunkline_secure('contact_identities');
--> statement-breakpoint
CREATE TABLE conversation_archives (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  number_id uuid NOT NULL,
  agent_id uuid,
  prompt_id uuid,
  reason text NOT NULL CHECK (reason IN ('relink', 'number_deleted')),
  conversation_count int NOT NULL DEFAULT 0,
  archived_by text NOT NULL DEFAULT 'system',
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant_id, id),
  FOREIGN KEY (tenant_id, number_id) REFERENCES phone_numbers (tenant_id, id)
);
--> statement-breakpoint
CREATE INDEX conversation_archives_tenant ON conversation_archives (tenant_id, created_at DESC);
--> statement-breakpoint
SELECT trunkline_secure('conversation_archives');
--> statement-breakpoint
CREATE TABLE conversations (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  number_id uuid NOT NULL,
  agent_id uuid,
  contact_id uuid NOT NULL,
  status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'closed', 'archived')),
  archive_id uuid,
  -- Who answers. Each change of hands raises the epoch; text made under an older epoch is discarded at send time.
  handler text NOT NULL DEFAULT 'agent' CHECK (handler IN ('agent', 'human')),
  handler_epoch int NOT NULL DEFAULT 0,
  -- The contact's address to answer to, e.g. {"kind":"phone","value":"+49…"}.
  reply_to jsonb NOT NULL,
  -- A vendor's own state (OpenAI conversation id): a cache that can be rebuilt from messages.
  vendor_state jsonb,
  summary_sealed bytea,
  -- Messages before this are history, not context (purge after 21 days of silence).
  context_start_seq bigint NOT NULL DEFAULT 0,
  last_seq bigint NOT NULL DEFAULT 0,
  last_message_at timestamptz NOT NULL DEFAULT now(),
  -- The 24-hour window is counted from here.
  last_inbound_at timestamptz,
  -- Lead extraction: what is not extracted yet, and since when.
  extracted_seq bigint NOT NULL DEFAULT 0,
  first_unextracted_at timestamptz,
  extraction_due_at timestamptz,
  extraction_failures int NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant_id, id),
  FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id),
  FOREIGN KEY (tenant_id, number_id) REFERENCES phone_numbers (tenant_id, id),
  FOREIGN KEY (tenant_id, contact_id) REFERENCES contacts (tenant_id, id),
  FOREIGN KEY (tenant_id, archive_id) REFERENCES conversation_archives (tenant_id, id),
  CHECK ((status = 'archived') = (archive_id IS NOT NULL))
) WITH (fillfactor = 70);
--> statement-breakpoint
CREATE UNIQUE INDEX conversations_open ON conversations (number_id, contact_id) WHERE status = 'open';
--> statement-breakpoint
CREATE INDEX conversations_tenant ON conversations (tenant_id, id DESC);
--> statement-breakpoint
CREATE INDEX conversations_archive ON conversations (archive_id) WHERE archive_id IS NOT NULL;
--> statement-breakpoint
SELECT trunkline_secure('conversations');
--> statement-breakpoint
CREATE TABLE messages (
  id uuid NOT NULL PRIMARY KEY,
  tenant_id uuid NOT NULL,
  conversation_id uuid NOT NULL,
  number_id uuid NOT NULL,
  turn_id uuid,
  agent_id uuid,
  prompt_id uuid,
  prompt_version int,
  seq bigint NOT NULL,
  direction text NOT NULL CHECK (direction IN ('inbound', 'outbound')),
  author text NOT NULL CHECK (author IN ('customer', 'agent', 'human', 'system')),
  author_user_id uuid,
  kind text NOT NULL,
  content_sealed bytea NOT NULL,
  provider_message_id text,
  reply_to text,
  -- inbound: received -> answered | parked | rejected | failed; outbound: queued -> sending -> sent -> delivered -> read -> played,
  -- or failed | unknown | parked | discarded.
  status text NOT NULL,
  reason text,
  details jsonb,
  provider_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (id);
--> statement-breakpoint
CREATE INDEX messages_conversation ON messages (conversation_id, seq DESC);
--> statement-breakpoint
CREATE INDEX messages_tenant ON messages (tenant_id, id DESC);
--> statement-breakpoint
CREATE INDEX messages_provider ON messages (number_id, provider_message_id) WHERE provider_message_id IS NOT NULL;
--> statement-breakpoint
SELECT trunkline_secure('messages');
--> statement-breakpoint
CREATE TABLE message_reactions (
  tenant_id uuid NOT NULL,
  message_id uuid NOT NULL,
  actor text NOT NULL,
  emoji text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (message_id, actor)
);
--> statement-breakpoint
SELECT trunkline_secure('message_reactions');
--> statement-breakpoint
CREATE TABLE message_revisions (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  message_id uuid NOT NULL,
  change text NOT NULL CHECK (change IN ('deleted', 'edited')),
  content_sealed bytea,
  at timestamptz NOT NULL
);
--> statement-breakpoint
CREATE INDEX message_revisions_message ON message_revisions (message_id);
--> statement-breakpoint
SELECT trunkline_secure('message_revisions');
--> statement-breakpoint
CREATE TABLE number_notices (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  number_id uuid NOT NULL,
  topic text NOT NULL,
  severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
  data jsonb NOT NULL DEFAULT '{}',
  acknowledged_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);
--> statement-breakpoint
CREATE INDEX number_notices_number ON number_notices (tenant_id, number_id, id DESC);
--> statement-breakpoint
SELECT trunkline_secure('number_notices');
--> statement-breakpoint
-- A file's own life: its download has its own retries for 7 days, whatever became of the message.
CREATE TABLE media (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  number_id uuid NOT NULL,
  message_id uuid,
  source jsonb NOT NULL,
  state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'stored', 'failed')),
  attempts int NOT NULL DEFAULT 0,
  next_attempt_at timestamptz,
  error text,
  mime_type text,
  size_bytes bigint,
  sha256 text,
  storage_key text,
  filename text,
  created_at timestamptz NOT NULL DEFAULT now(),
  stored_at timestamptz
);
--> statement-breakpoint
CREATE INDEX media_due ON media (next_attempt_at) WHERE state = 'pending';
--> statement-breakpoint
CREATE INDEX media_tenant ON media (tenant_id, id DESC);
--> statement-breakpoint
CREATE INDEX media_message ON media (message_id) WHERE message_id IS NOT NULL;
--> statement-breakpoint
SELECT trunkline_secure('media');
