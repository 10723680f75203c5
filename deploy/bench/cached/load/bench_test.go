package load

import (
	"fmt"
	"testing"
)

// BenchmarkGet is what a get costs the generator beside system calls: to draw and write it, and to read and check its hit of 100 bytes.
func BenchmarkGet(b *testing.B) {
	for _, multiget := range []int{1, 100} {
		b.Run(fmt.Sprintf("multiget=%d", multiget), func(b *testing.B) {
			w, err := Workload{GetShare: 1, Multiget: multiget, Order: Sequential, Keys: multiget, Sizes: Fixed(100)}.normal()
			if err != nil {
				b.Fatal(err)
			}
			plan := newPlan(w)
			var answer []byte
			for id := range uint32(multiget) {
				answer = appendKey(append(answer, "VALUE "...), id, w.KeyLen)
				_, start := plan.values.of(id)
				answer = plan.values.append(append(answer, " 0 100\r\n"...), 100, start)
				answer = append(answer, '\r', '\n')
			}
			answer = append(answer, "END\r\n"...)
			part, a := plan.part(0, 1), answers{plan: plan, queue: newPending(1, multiget)}
			var r Result
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				part.at = 0
				buf = part.appendGet(buf[:0], &a.queue, 0)
				if _, err := a.consume(answer, &r, 1); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(r.Gets), "ns/key")
		})
	}
}
