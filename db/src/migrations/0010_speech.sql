-- ── Speech and own keys ───────────────────────────────────────────────────────────────────────────────────────────────
-- own_key: the tenant paid the vendor itself, so it cost nothing here. caused_by: what it was for, where that is no turn and no call:
-- `request:<our id>` of a one-shot request, `session:<id>` of a Realtime session.
ALTER TABLE usage_records ADD COLUMN own_key boolean NOT NULL DEFAULT false, ADD COLUMN caused_by text;
--> statement-breakpoint
-- Answers that are sound are kept for a repeat, too; what a tenant has of them is counted.
ALTER TABLE idempotency_keys ADD COLUMN kept_bytes int NOT NULL DEFAULT 0;
--> statement-breakpoint
CREATE INDEX idempotency_keys_kept ON idempotency_keys (tenant_id) WHERE kept_bytes > 0;
