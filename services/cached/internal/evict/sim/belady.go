package sim

import "container/heap"

// Belady returns the hit ratio in percent of the clairvoyant policy that evicts what is needed furthest in the future. With sizes it is no
// longer the optimum, only a good bound to look at.
func Belady(t *Trace, capacity uint64) float64 {
	never := uint32(len(t.Keys))
	next := make([]uint32, len(t.Keys))
	seen := make([]uint32, t.Unique)
	for i := range seen {
		seen[i] = never
	}
	for i := len(t.Keys) - 1; i >= 0; i-- {
		next[i] = seen[t.Keys[i]]
		seen[t.Keys[i]] = uint32(i)
	}
	f := furthest{pos: make([]int32, t.Unique), next: make([]uint32, t.Unique)}
	for i := range f.pos {
		f.pos[i] = -1
	}
	var weight uint64
	hits := 0
	for i, k := range t.Keys {
		f.next[k] = next[i]
		if f.pos[k] >= 0 {
			hits++
			heap.Fix(&f, int(f.pos[k]))
			continue
		}
		w := uint64(t.Size(k))
		if w > capacity {
			continue
		}
		for weight+w > capacity {
			v := heap.Pop(&f).(uint32)
			weight -= uint64(t.Size(v))
		}
		heap.Push(&f, k)
		weight += w
	}
	return 100 * float64(hits) / float64(max(1, len(t.Keys)))
}

// furthest is a heap of the resident keys, the one needed last on top.
type furthest struct {
	keys []uint32
	pos  []int32
	next []uint32
}

func (f *furthest) Len() int           { return len(f.keys) }
func (f *furthest) Less(i, j int) bool { return f.next[f.keys[i]] > f.next[f.keys[j]] }
func (f *furthest) Swap(i, j int) {
	f.keys[i], f.keys[j] = f.keys[j], f.keys[i]
	f.pos[f.keys[i]], f.pos[f.keys[j]] = int32(i), int32(j)
}
func (f *furthest) Push(x any) {
	f.pos[x.(uint32)] = int32(len(f.keys))
	f.keys = append(f.keys, x.(uint32))
}
func (f *furthest) Pop() any {
	k := f.keys[len(f.keys)-1]
	f.keys = f.keys[:len(f.keys)-1]
	f.pos[k] = -1
	return k
}
