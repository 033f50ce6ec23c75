-- ── The queue ─────────────────────────────────────────────────────────────────────────────────────────────────────────
-- One lane per number. The inbox is a log and the lane holds the cursor: retiring a turn updates this one row (HOT), never
-- the log. `ahead` are sequence numbers above the cursor that are retired already (a coalesced turn, or order by conversation).
-- `epoch` is the fence: whoever claims raises it, and every commit of a drainer names the epoch it claimed.
CREATE TABLE lanes (
  number_id uuid PRIMARY KEY REFERENCES phone_numbers (id),
  tenant_id uuid NOT NULL,
  next_seq bigint NOT NULL DEFAULT 1,
  cursor_seq bigint NOT NULL DEFAULT 0,
  ahead bigint[] NOT NULL DEFAULT '{}',
  epoch bigint NOT NULL DEFAULT 0,
  owner text,
  claimed_at timestamptz
) WITH (fillfactor = 40);
--> statement-breakpoint
SELECT trunkline_secure('lanes');
--> statement-breakpoint
-- What customers wrote, as accepted. Unique per (number, supplier id) for ever: a redelivery of next week still finds its twin.
-- No foreign keys: this is the one insert on the webhook's path, and its number was read a moment ago.
CREATE TABLE inbox (
  number_id uuid NOT NULL,
  seq bigint NOT NULL,
  tenant_id uuid NOT NULL,
  message_id uuid NOT NULL,
  provider_message_id text NOT NULL,
  conversation_key text NOT NULL,
  payload_sealed bytea NOT NULL,
  received_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (number_id, seq),
  UNIQUE (number_id, provider_message_id)
);
--> statement-breakpoint
SELECT trunkline_secure('inbox');
--> statement-breakpoint
-- Everything that is not a customer's message (receipts, echoes, reactions, revisions, identity changes, notices): a lane of
-- its own, so that a slow model call never holds a status back.
CREATE TABLE effects (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id uuid NOT NULL,
  number_id uuid NOT NULL,
  kind text NOT NULL,
  dedupe_key text NOT NULL,
  provider_message_id text,
  payload_sealed bytea NOT NULL,
  received_at timestamptz NOT NULL DEFAULT now(),
  applied_at timestamptz,
  -- 'applied', 'ignored' (nothing of ours is meant) or 'waiting' (its message is not known yet).
  outcome text,
  UNIQUE (number_id, dedupe_key)
);
--> statement-breakpoint
CREATE INDEX effects_open ON effects (id) WHERE applied_at IS NULL;
--> statement-breakpoint
CREATE INDEX effects_message ON effects (number_id, provider_message_id) WHERE provider_message_id IS NOT NULL;
--> statement-breakpoint
SELECT trunkline_secure('effects');
--> statement-breakpoint
-- One exchange: the coalesced messages of one conversation and the one answer. (number_id, first_seq) makes a crash resume
-- the same turn instead of beginning another.
CREATE TABLE turns (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  number_id uuid NOT NULL,
  conversation_id uuid NOT NULL,
  agent_id uuid,
  prompt_id uuid,
  prompt_version int,
  first_seq bigint NOT NULL,
  seqs bigint[] NOT NULL,
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'answered', 'retired')),
  outcome text CHECK (outcome IN ('sent', 'failed', 'unknown', 'parked', 'discarded', 'rejected', 'silent')),
  reason text,
  attempts int NOT NULL DEFAULT 0,
  handler_epoch int NOT NULL DEFAULT 0,
  hold_id uuid,
  vendor text,
  model text,
  input_tokens int,
  output_tokens int,
  cost_micros bigint,
  -- Tool calls, recoveries, skipped vendors: for the archive and for support.
  details jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  answered_at timestamptz,
  retired_at timestamptz,
  UNIQUE (number_id, first_seq)
) WITH (fillfactor = 70);
--> statement-breakpoint
CREATE INDEX turns_conversation ON turns (conversation_id);
--> statement-breakpoint
SELECT trunkline_secure('turns');
--> statement-breakpoint
-- Written 'sending' before the HTTP call and 'accepted' after it. A crash between leaves 'sending' under an old epoch: unknown.
CREATE TABLE outbox (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  number_id uuid NOT NULL,
  conversation_id uuid NOT NULL,
  turn_id uuid,
  message_id uuid NOT NULL,
  part int NOT NULL DEFAULT 0,
  state text NOT NULL CHECK (state IN ('pending', 'sending', 'accepted', 'failed', 'unknown', 'parked', 'cancelled')),
  attempt int NOT NULL DEFAULT 0,
  epoch bigint NOT NULL DEFAULT 0,
  handler_epoch int NOT NULL DEFAULT 0,
  request_sealed bytea NOT NULL,
  provider_message_id text,
  policy text,
  error_code text,
  error_message text,
  next_attempt_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  sending_at timestamptz,
  settled_at timestamptz,
  UNIQUE (message_id, part)
) WITH (fillfactor = 70);
--> statement-breakpoint
CREATE INDEX outbox_turn ON outbox (turn_id) WHERE turn_id IS NOT NULL;
--> statement-breakpoint
CREATE INDEX outbox_provider ON outbox (number_id, provider_message_id) WHERE provider_message_id IS NOT NULL;
--> statement-breakpoint
CREATE INDEX outbox_open ON outbox (number_id, id) WHERE state IN ('pending', 'sending', 'unknown');
--> statement-breakpoint
SELECT trunkline_secure('outbox');
