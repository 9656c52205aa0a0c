#!lua flags=allow-oom
-- Count one read and return the head of the value as it was before.
-- ARGV: ms by which the tombstone of a message that was read out outlives it, and the time in ms since the epoch.
return count_read(KEYS[1], ARGV[1], ARGV[2], function() end)
