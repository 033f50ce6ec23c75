-- The ground of all migrations, and who may do what. Rules of every migration: every tenant table has tenant_id, is secured by trunkline_secure() (FORCE ROW LEVEL SECURITY plus one
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
