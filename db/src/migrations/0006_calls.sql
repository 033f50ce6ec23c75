-- ── Calls ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
-- One row a call, from the first ring to its bill. What was said are messages; what happened are events; what was used are usage records.
-- Who owns the live call has a lease with an epoch: the newest media socket takes it over, and whoever held it before writes nothing any more.
CREATE TABLE calls (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  number_id uuid NOT NULL,
  agent_id uuid,
  prompt_id uuid,
  prompt_version int,
  contact_id uuid,
  conversation_id uuid,
  direction text NOT NULL CHECK (direction IN ('inbound', 'outbound')),
  carrier text NOT NULL,
  -- Null until the carrier has named it (outbound).
  carrier_call_id text,
  from_address text NOT NULL,
  to_address text NOT NULL,
  status text NOT NULL CHECK (status IN ('initiated', 'ringing', 'in_progress', 'completed', 'failed', 'busy', 'no_answer', 'cancelled')),
  end_reason text,
  -- The carrier's own word.
  end_detail text,
  -- What was asked for while it runs (hang up, transfer): why it will be over.
  wish text CHECK (wish IN ('hang_up', 'transfer')),
  metadata jsonb NOT NULL DEFAULT '{}',
  -- What an outbound call is told to do beyond its number's settings.
  options jsonb NOT NULL DEFAULT '{}',
  placed_by text NOT NULL DEFAULT 'carrier',
  hold_ids uuid[] NOT NULL DEFAULT '{}',
  cost_carrier_micros bigint NOT NULL DEFAULT 0,
  cost_stt_micros bigint NOT NULL DEFAULT 0,
  cost_tts_micros bigint NOT NULL DEFAULT 0,
  cost_model_micros bigint NOT NULL DEFAULT 0,
  recording_state text NOT NULL DEFAULT 'none' CHECK (recording_state IN ('none', 'recording', 'stored', 'failed')),
  recording_key text,
  recording_ms int,
  recording_bytes bigint,
  summary_sealed bytea,
  -- Set at the end of a call in which something was said, until it is summarised.
  summary_due_at timestamptz,
  epoch int NOT NULL DEFAULT 0,
  lease_owner text,
  lease_until timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  answered_at timestamptz,
  ended_at timestamptz,
  UNIQUE (tenant_id, id),
  FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id),
  FOREIGN KEY (tenant_id, number_id) REFERENCES phone_numbers (tenant_id, id),
  FOREIGN KEY (tenant_id, contact_id) REFERENCES contacts (tenant_id, id),
  FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations (tenant_id, id),
  CHECK ((ended_at IS NOT NULL) = (status NOT IN ('initiated', 'ringing', 'in_progress'))),
  CHECK ((ended_at IS NOT NULL) = (end_reason IS NOT NULL))
) WITH (fillfactor = 70);
--> statement-breakpoint
-- A webhook that comes twice opens one call.
CREATE UNIQUE INDEX calls_carrier ON calls (number_id, carrier_call_id) WHERE carrier_call_id IS NOT NULL;
--> statement-breakpoint
CREATE INDEX calls_tenant ON calls (tenant_id, id DESC);
--> statement-breakpoint
CREATE INDEX calls_number ON calls (number_id, id DESC);
--> statement-breakpoint
CREATE INDEX calls_conversation ON calls (conversation_id, id DESC) WHERE conversation_id IS NOT NULL;
--> statement-breakpoint
CREATE INDEX calls_contact ON calls (contact_id, id DESC) WHERE contact_id IS NOT NULL;
--> statement-breakpoint
-- Concurrency limits count these, and the recovery looks through them.
CREATE INDEX calls_live ON calls (tenant_id, number_id) WHERE ended_at IS NULL;
--> statement-breakpoint
CREATE INDEX calls_lease ON calls (lease_until) WHERE ended_at IS NULL;
--> statement-breakpoint
CREATE INDEX calls_unstored ON calls (ended_at) WHERE recording_state = 'recording' AND ended_at IS NOT NULL;
--> statement-breakpoint
CREATE INDEX calls_unsummarised ON calls (summary_due_at) WHERE summary_due_at IS NOT NULL;
--> statement-breakpoint
SELECT trunkline_secure('calls');
--> statement-breakpoint
CREATE TABLE call_events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id uuid NOT NULL,
  call_id uuid NOT NULL,
  kind text NOT NULL,
  -- Milliseconds of the call, from its media's start; null for what happened outside of it.
  at_ms int,
  data jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  FOREIGN KEY (tenant_id, call_id) REFERENCES calls (tenant_id, id)
);
--> statement-breakpoint
CREATE INDEX call_events_call ON call_events (call_id, id);
--> statement-breakpoint
SELECT trunkline_secure('call_events');
--> statement-breakpoint
-- What was said in a call is a message of its conversation.
ALTER TABLE messages ADD COLUMN call_id uuid;
--> statement-breakpoint
CREATE INDEX messages_call ON messages (call_id, seq) WHERE call_id IS NOT NULL;
--> statement-breakpoint
-- Speech engines are vendors, too: sound heard or made, characters spoken. purpose: stt, tts, or what the model was asked for.
ALTER TABLE usage_records ADD COLUMN call_id uuid, ADD COLUMN audio_ms bigint NOT NULL DEFAULT 0, ADD COLUMN characters int NOT NULL DEFAULT 0;
--> statement-breakpoint
CREATE INDEX usage_records_call ON usage_records (call_id) WHERE call_id IS NOT NULL;
