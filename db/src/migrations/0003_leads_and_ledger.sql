-- ── Leads ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
CREATE TABLE leads (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  conversation_id uuid NOT NULL,
  number_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  status text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'contacted', 'qualified', 'won', 'lost')),
  name text,
  email text,
  phone text,
  company text,
  intent text,
  urgency text,
  budget text,
  fit text,
  engagement text,
  demo_datetime timestamptz,
  smart_notification text,
  evidence_message_ids uuid[] NOT NULL DEFAULT '{}',
  extracted_seq bigint NOT NULL,
  extracted_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (conversation_id),
  FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations (tenant_id, id),
  FOREIGN KEY (tenant_id, contact_id) REFERENCES contacts (tenant_id, id)
);
--> statement-breakpoint
CREATE INDEX leads_tenant ON leads (tenant_id, id DESC);
--> statement-breakpoint
SELECT trunkline_secure('leads');
--> statement-breakpoint
-- One row per state of a conversation that was extracted: (conversation, last message) makes it once for ever.
CREATE TABLE lead_extractions (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  conversation_id uuid NOT NULL,
  last_seq bigint NOT NULL,
  fields jsonb NOT NULL,
  extracted_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (conversation_id, last_seq)
);
--> statement-breakpoint
SELECT trunkline_secure('lead_extractions');
--> statement-breakpoint
CREATE INDEX conversations_extraction_due ON conversations (extraction_due_at) WHERE extraction_due_at IS NOT NULL;
--> statement-breakpoint

-- ── Usage and the ledger ──────────────────────────────────────────────────────────────────────────────────────────────
CREATE TABLE usage_records (
  id uuid NOT NULL PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid,
  conversation_id uuid,
  turn_id uuid,
  vendor text NOT NULL,
  model text NOT NULL,
  purpose text NOT NULL,
  input_tokens int NOT NULL,
  cached_input_tokens int NOT NULL DEFAULT 0,
  output_tokens int NOT NULL,
  latency_ms int NOT NULL,
  first_token_ms int,
  outcome text NOT NULL,
  cost_micros bigint NOT NULL DEFAULT 0,
  request_id text,
  created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (id);
--> statement-breakpoint
CREATE INDEX usage_records_tenant ON usage_records (tenant_id, id DESC);
--> statement-breakpoint
SELECT trunkline_secure('usage_records');
--> statement-breakpoint
-- Four accounts a tenant, so that every transfer balances inside one tenant and no house account is a hot row:
-- funding (money in, negative), available, held, spent.
CREATE TABLE accounts (
  tenant_id uuid NOT NULL REFERENCES tenants (id),
  kind text NOT NULL CHECK (kind IN ('funding', 'available', 'held', 'spent')),
  balance_micros bigint NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, kind),
  CHECK (kind <> 'held' OR balance_micros >= 0),
  CHECK (kind <> 'spent' OR balance_micros >= 0)
) WITH (fillfactor = 40);
--> statement-breakpoint
SELECT trunkline_secure('accounts');
--> statement-breakpoint
CREATE TABLE holds (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  amount_micros bigint NOT NULL CHECK (amount_micros >= 0),
  state text NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'settled', 'voided', 'expired')),
  turn_id uuid,
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  closed_at timestamptz
) WITH (fillfactor = 70);
--> statement-breakpoint
CREATE INDEX holds_open ON holds (expires_at) WHERE state = 'held';
--> statement-breakpoint
SELECT trunkline_secure('holds');
--> statement-breakpoint
CREATE TABLE transfers (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('topup', 'hold', 'settle', 'void', 'adjust')),
  idempotency_key text NOT NULL,
  hold_id uuid,
  turn_id uuid,
  message_id uuid,
  amount_micros bigint NOT NULL,
  memo text NOT NULL DEFAULT '',
  details jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant_id, idempotency_key)
);
--> statement-breakpoint
CREATE INDEX transfers_tenant ON transfers (tenant_id, id DESC);
--> statement-breakpoint
CREATE INDEX transfers_turn ON transfers (tenant_id, turn_id) WHERE turn_id IS NOT NULL;
--> statement-breakpoint
SELECT trunkline_secure('transfers');
--> statement-breakpoint
CREATE TABLE entries (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id uuid NOT NULL,
  transfer_id uuid NOT NULL,
  account text NOT NULL CHECK (account IN ('funding', 'available', 'held', 'spent')),
  amount_micros bigint NOT NULL CHECK (amount_micros <> 0),
  created_at timestamptz NOT NULL DEFAULT now()
);
--> statement-breakpoint
CREATE INDEX entries_transfer ON entries (transfer_id);
--> statement-breakpoint
CREATE INDEX entries_tenant ON entries (tenant_id, account, id DESC);
--> statement-breakpoint
SELECT trunkline_secure('entries');
--> statement-breakpoint
-- Entries of a transfer sum to zero, in the statement that writes them: all entries of a transfer are one INSERT.
CREATE FUNCTION trunkline_entries_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM added GROUP BY transfer_id HAVING sum(amount_micros) <> 0 OR count(*) < 2) THEN
    RAISE EXCEPTION 'entries of a transfer must sum to zero' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER entries_balance AFTER INSERT ON entries REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION trunkline_entries_balance();
--> statement-breakpoint
CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE ON entries FOR EACH ROW EXECUTE FUNCTION trunkline_append_only();
--> statement-breakpoint
CREATE TRIGGER transfers_append_only BEFORE UPDATE OR DELETE ON transfers FOR EACH ROW EXECUTE FUNCTION trunkline_append_only();
--> statement-breakpoint
SELECT trunkline_ensure_partitions(3);
