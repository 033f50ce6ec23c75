-- The foundation: every table of the spine.
-- Rules of this file: every tenant table has tenant_id, is secured by trunkline_secure() (FORCE ROW LEVEL SECURITY plus one
-- policy per role) and leads its unique keys with tenant_id or with an id that belongs to one tenant.
-- Hot append-only tables are partitioned by RANGE (id): ids are UUIDv7, so a month is a range of ids and a look-up by id prunes.

DO $$ BEGIN
  CREATE ROLE trunkline_app LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
--> statement-breakpoint
DO $$ BEGIN
  CREATE ROLE trunkline_system LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
--> statement-breakpoint
GRANT USAGE ON SCHEMA public TO trunkline_app, trunkline_system;
--> statement-breakpoint

-- current_setting without missing_ok: a connection that names no tenant gets an error, never an empty or a full result.
CREATE FUNCTION trunkline_secure(target regclass, tenant_column text DEFAULT 'tenant_id') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
  EXECUTE format('CREATE POLICY tenant ON %s FOR ALL TO trunkline_app USING (%I = current_setting(''app.tenant'')::uuid) WITH CHECK (%I = current_setting(''app.tenant'')::uuid)', target, tenant_column, tenant_column);
  EXECUTE format('CREATE POLICY system ON %s FOR ALL TO trunkline_system USING (true) WITH CHECK (true)', target);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO trunkline_app, trunkline_system', target);
END $$;
--> statement-breakpoint
CREATE FUNCTION trunkline_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
--> statement-breakpoint
-- The smallest UUIDv7 of a point in time: the lower bound of a partition.
CREATE FUNCTION trunkline_uuid_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid
$$;
--> statement-breakpoint
-- Creates the monthly partitions from last month to `ahead` months from now. Run by migrations and daily by the worker.
CREATE FUNCTION trunkline_ensure_partitions(ahead int DEFAULT 3) RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE parent regclass; month timestamptz; child text; made int := 0;
BEGIN
  FOR parent IN SELECT partrelid::regclass FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid WHERE c.relnamespace = 'public'::regnamespace LOOP
    FOR step IN -1..ahead LOOP
      month := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + make_interval(months => step);
      child := format('%s_%s', parent, to_char(month AT TIME ZONE 'UTC', 'YYYY_MM'));
      IF to_regclass(child) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)', child, parent, trunkline_uuid_floor(month), trunkline_uuid_floor(month + interval '1 month'));
        made := made + 1;
      END IF;
    END LOOP;
  END LOOP;
  RETURN made;
END $$;
--> statement-breakpoint
REVOKE ALL ON FUNCTION trunkline_ensure_partitions(int) FROM PUBLIC;
--> statement-breakpoint
GRANT EXECUTE ON FUNCTION trunkline_ensure_partitions(int) TO trunkline_system;
--> statement-breakpoint

-- ── Tenancy and access ────────────────────────────────────────────────────────────────────────────────────────────────
CREATE TABLE tenants (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
  settings jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  suspended_at timestamptz
);
--> statement-breakpoint
SELECT trunkline_secure('tenants', 'id');
--> statement-breakpoint
CREATE TABLE projects (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id),
  name text NOT NULL,
  environment text NOT NULL CHECK (environment IN ('production', 'staging', 'development')),
  rate_limit_per_minute int,
  archived_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant_id, id),
  UNIQUE (tenant_id, name)
);
--> statement-breakpoint
SELECT trunkline_secure('projects');
--> statement-breakpoint
-- People are not a tenant's: one person may belong to several. Only the system role reads this table.
CREATE TABLE users (
  id uuid PRIMARY KEY,
  email text NOT NULL,
  name text NOT NULL DEFAULT '',
  password_hash text NOT NULL,
  email_verified_at timestamptz,
  failed_logins int NOT NULL DEFAULT 0,
  locked_until timestamptz,
  platform_admin boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now()
);
--> statement-breakpoint
CREATE UNIQUE INDEX users_email ON users (lower(email));
--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON users TO trunkline_system;
--> statement-breakpoint
CREATE TABLE memberships (
  tenant_id uuid NOT NULL REFERENCES tenants (id),
  user_id uuid NOT NULL REFERENCES users (id),
  role text NOT NULL CHECK (role IN ('owner', 'admin', 'developer', 'agent', 'viewer')),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, user_id)
);
--> statement-breakpoint
CREATE INDEX memberships_user ON memberships (user_id);
--> statement-breakpoint
SELECT trunkline_secure('memberships');
--> statement-breakpoint
-- Single-use links sent by mail. Only a SHA-256 of the token is kept.
CREATE TABLE email_tokens (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users (id),
  tenant_id uuid REFERENCES tenants (id),
  purpose text NOT NULL CHECK (purpose IN ('verify', 'reset', 'invite')),
  role text,
  token_hash bytea NOT NULL UNIQUE,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);
--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON email_tokens TO trunkline_system;
--> statement-breakpoint
-- Rotation with reuse detection: a token that comes twice revokes its whole family.
CREATE TABLE refresh_tokens (
  id uuid PRIMARY KEY,
  family_id uuid NOT NULL,
  user_id uuid NOT NULL REFERENCES users (id),
  tenant_id uuid NOT NULL REFERENCES tenants (id),
  token_hash bytea NOT NULL UNIQUE,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);
--> statement-breakpoint
CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id);
--> statement-breakpoint
SELECT trunkline_secure('refresh_tokens');
--> statement-breakpoint
CREATE TABLE api_keys (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id),
  project_id uuid NOT NULL,
  name text NOT NULL,
  environment text NOT NULL,
  -- Public half, part of the key's text: `tl_<env>_<keyId>_<secret>`.
  key_id text NOT NULL UNIQUE,
  secret_hash text NOT NULL,
  -- HMAC-SHA256 of the whole key under the server's key: equality check in microseconds when the cache is cold.
  digest bytea NOT NULL,
  last_four text NOT NULL,
  scopes text[] NOT NULL,
  expires_at timestamptz,
  revoked_at timestamptz,
  -- Set by rotation: the old key works until then.
  grace_until timestamptz,
  rotated_to uuid,
  last_used_at timestamptz,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id)
);
--> statement-breakpoint
CREATE INDEX api_keys_tenant ON api_keys (tenant_id, created_at DESC);
--> statement-breakpoint
SELECT trunkline_secure('api_keys');
--> statement-breakpoint
CREATE TABLE audit_entries (
  id uuid NOT NULL PRIMARY KEY,
  tenant_id uuid NOT NULL,
  actor_kind text NOT NULL CHECK (actor_kind IN ('user', 'api_key', 'system')),
  actor_id text NOT NULL,
  action text NOT NULL,
  target_kind text NOT NULL,
  target_id text NOT NULL,
  changes jsonb NOT NULL DEFAULT '{}',
  request_id text,
  ip text,
  created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (id);
--> statement-breakpoint
CREATE INDEX audit_entries_tenant ON audit_entries (tenant_id, id DESC);
--> statement-breakpoint
SELECT trunkline_secure('audit_entries');
--> statement-breakpoint
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit_entries FOR EACH ROW EXECUTE FUNCTION trunkline_append_only();
--> statement-breakpoint
CREATE TABLE idempotency_keys (
  tenant_id uuid NOT NULL,
  key text NOT NULL,
  fingerprint bytea NOT NULL,
  status int,
  response jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  completed_at timestamptz,
  PRIMARY KEY (tenant_id, key)
);
--> statement-breakpoint
SELECT trunkline_secure('idempotency_keys');
--> statement-breakpoint

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
--> statement-breakpoint

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
--> statement-breakpoint

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
