-- What may come after the sound of a call besides its end: keys are pressed, or a transfer came to nothing, and the sound comes back.
ALTER TABLE calls DROP CONSTRAINT calls_wish_check, ADD CONSTRAINT calls_wish_check CHECK (wish IN ('hang_up', 'transfer', 'press', 'return'));
