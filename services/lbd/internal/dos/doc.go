// Package dos tells clients that ask too much from the others, and bounds what one may ask: a detector of two levels, rate limits by key, and
// counts of what a source has open. It decides nothing about requests: rules do, which ask for a client's level or name a limit.
//
// # Two levels
//
// A Detector counts requests by key over a period, sliding. A key with more than the threshold is suspect, with more than the hard
// threshold hard; it stays so for the ban, from its last request above that threshold: who goes on has it prolonged. The two levels
// end each by itself, so one who only slows down from hard is suspect for some more time. This is what mod_dosdetector does, but for
// its ban, which ends without regard to what is asked meanwhile.
//
// Contents that do not count (images) are known only by the answer. A request counts when it comes, as floods are to be seen while their
// answers are slow to come, and is taken back when its answer turns out to be of such a type: Undo. Where a level began with requests of which so
// many are taken back that it should not have begun, it ends at once. What came more than two periods before is not taken back.
//
// # Memory
//
// A Table is made for a number of keys, 68 bytes each, and never grows. It is sets of eight places: a new key takes, of its set, a free place,
// or that of the key with the fewest requests of late among those that are not held for suspect, the one longest unseen
// first. So a flood of new keys pushes out what was counted once, and nobody who is banned: that would take eight more banned keys in the same
// set, whose places the attacker cannot know (keys are hashed with a secret), and even those push out nobody. Where all eight are banned a
// new key is not counted (Counts.Untracked).
//
// What a client makes up is a poor key by itself: who sends another value of a header with each request is counted once each time, and who
// has a large network of IPv6 comes from as many of 64 bits as he likes. A detector of a Set by address, or by networks of 48 bits, beside the first sees them.
//
// # Who owns what
//
// Table is pure: time is an argument, nothing locks. Detector, Limit and Sources are shells for any number of goroutines: shards by
// key, each with a lock that is held for some 50 ns. A Set is detectors by name, each with its own tables. There are no goroutines here. A Feed tells of
// changes: a bounded queue for each that follows; one that falls behind is told so, and reads Recall.
//
// A change of options that needs other tables moves who is held: first to tables that nobody looks at yet, then again when nobody
// comes to the old ones any more, so that nobody is free between. Configure, and whatever ends a level by an operator's or another balancer's
// word, take turns.
//
// # The fleet
//
// Levels are shared with the other balancers (Message), never counts: a client that spreads its requests over n balancers is found at n times
// the threshold. Of two levels of a key the higher and the longer counts. Times go as what is left, so clocks need not agree. A receiver trusts
// nobody for longer than MaxShared, and its own exemptions stand. A detector is told by its name, and heard by the one of that name.
package dos
