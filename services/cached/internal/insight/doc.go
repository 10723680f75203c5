// Package insight tells an operator what a cache's numbers do not: which keys are hottest, what more or less memory would bring, and how the
// hit ratio has been lately.
//
// All of it lives on samples. The engine hands over, under its shards' locks, every n-th access (for [HotKeys]) and every access
// to the keys whose hash lies below a threshold (for [Curve]); both take one short lock of their own and allocate nothing once they are
// full. [Windows] is fed once a second with totals. Memory is fixed: some 300 KiB for a Curve of 4096 keys, 300 bytes for each
// hot key kept.
package insight
