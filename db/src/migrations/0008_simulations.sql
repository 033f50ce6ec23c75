-- ── Simulations ───────────────────────────────────────────────────────────────────────────────────────────────────────
-- An agent under test: simulated callers ring it, one result a call. Whichever voice process runs it has a lease with an epoch; another one
-- goes on after the last result when that process is gone.
CREATE TABLE simulations (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  number_id uuid NOT NULL,
  agent_id uuid NOT NULL,
  -- What was asked for, as it was asked for.
  spec jsonb NOT NULL,
  status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
  -- Null until all calls are over.
  passed boolean,
  failure text,
  calls_total int NOT NULL,
  -- One sealed blob a call, in the order in which they ended: they hold what was said.
  results_sealed bytea[] NOT NULL DEFAULT '{}',
  created_by text NOT NULL,
  epoch int NOT NULL DEFAULT 0,
  lease_owner text,
  lease_until timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  started_at timestamptz,
  ended_at timestamptz,
  FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id),
  FOREIGN KEY (tenant_id, number_id) REFERENCES phone_numbers (tenant_id, id),
  CHECK ((ended_at IS NOT NULL) = (status NOT IN ('queued', 'running')))
);
--> statement-breakpoint
CREATE INDEX simulations_tenant ON simulations (tenant_id, id DESC);
--> statement-breakpoint
CREATE INDEX simulations_waiting ON simulations (created_at) WHERE ended_at IS NULL;
--> statement-breakpoint
SELECT trunkline_secure('simulations');
