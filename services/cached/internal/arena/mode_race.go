//go:build race

package arena

const (
	checked   = true
	mostAlloc = 24 << 20 // the largest anonymous arena: the detector shadows what is allocated
)
