//go:build race

package rule

// raceEnabled says that sync.Pool forgets by chance, so that package regexp allocates.
const raceEnabled = true
