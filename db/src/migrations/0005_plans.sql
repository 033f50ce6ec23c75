-- The machinery's statements are prepared once per connection and kept; every one of them has an index. A plan that is made while a table is nearly
-- empty (a scan of one page is cheapest then) would be kept when it holds millions of rows. What has no index is scanned all the same.
DO $$ BEGIN
  EXECUTE format('ALTER ROLE trunkline_system IN DATABASE %I SET enable_seqscan = off', current_database());
END $$;
