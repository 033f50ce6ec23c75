-- Uploads of visitors that no message names (yet): the tidy job deletes the old ones.
CREATE INDEX media_orphans ON media (created_at) WHERE message_id IS NULL AND source ? 'visitorId';
--> statement-breakpoint
-- Objects are shared by content: who else keeps this one?
CREATE INDEX media_object ON media (storage_key) WHERE storage_key IS NOT NULL;
--> statement-breakpoint
CREATE INDEX calls_object ON calls (recording_key) WHERE recording_key IS NOT NULL;
