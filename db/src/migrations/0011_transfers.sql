-- How far a call has been put through, and since when it was asked for: `asked` alone may never have reached the carrier. A call whose carrier
-- says that it is over before it is known whether anybody took it has parted: it ends a moment later, at the time it parted.
ALTER TABLE calls ADD COLUMN transfer text CHECK (transfer IN ('asked', 'accepted', 'ringing', 'answered')), ADD COLUMN transfer_at timestamptz, ADD COLUMN parted_at timestamptz;
