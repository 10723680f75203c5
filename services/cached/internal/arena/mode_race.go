//go:build race

package arena

const (
	checked   = true
	mostAlloc = 192 << 20 // the largest anonymous arena: the detector shadows what is allocated
)
