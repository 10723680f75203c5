// Package stats makes memcached's statistics out of what cached counts, for all protocols that have a stats command.
//
// The names and their order are those of memcached 1.6.18. What has no meaning in cached, like moves between LRU queues or slab
// pages, is given as a constant 0, so that scripts find what they look for; what the daemon alone knows comes from Env.General and
// Env.Settings and takes the place of the lines of the same names, further names follow behind. Slab classes are virtual:
// items are counted by the class in which memcached would keep them.
package stats

// Version is what `version` and `stats` say: clients compare it with memcached's.
const Version = "1.6.18"

// Emit takes one line.
type Emit func(name, value string)
