//go:build !race

package arena

const (
	checked   = false
	mostAlloc = 0 // anonymous arenas are mapped, not allocated
)
