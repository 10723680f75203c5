// Package traffic counts what passes, by route and by member of a pool, and tells rates from two readings.
//
// # Counting
//
// A Cell counts the requests of one route or member: by class of status, by duration, bytes, retries, and how many are under way. Each worker
// counts in a shard of its own, so that no two processors write to one cache line; a reading adds the shards up, number by number, and is
// not of one instant. A request costs some ten additions, no lock and no allocation: who counts keeps the Cell.
//
// A Table holds the cells by name, over reloads. A pool is the sum of its members and of the requests that reached none. The table is
// bounded: what has no place counts in the cell named Other of its kind.
//
// # Reading
//
// Rates is pure: it makes lines of two Snapshots. Durations are counted in buckets of which four double the time, so a quantile
// is at most 19 per cent too high.
package traffic
