package traffic

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every duration is in a bucket whose bounds hold it, and buckets follow each other without a gap.
func TestBuckets(t *testing.T) {
	for i := range buckets - 2 {
		if end := upper(i); bucketOf(end) != i+1 || bucketOf(end-time.Microsecond) != i {
			t.Errorf("bucket %d ends at %v, which is in %d; before it is %d", i, end, bucketOf(end), bucketOf(end-time.Microsecond))
		}
	}
	f := func(d time.Duration, want int) {
		t.Helper()
		if got := bucketOf(d); got != want {
			t.Errorf("%v is in bucket %d, want %d", d, got, want)
		}
	}
	f(-1, 0)
	f(0, 0)
	f(16*time.Microsecond, 1)
	f(1<<62, buckets-1)
	f(time.Microsecond<<maxPower, buckets-1)
	f(time.Microsecond<<maxPower-1, buckets-2)
	if upper(buckets-1) != upper(buckets-2) {
		t.Error("the last bucket has another end")
	}
}

// Exported histograms agree with a count of the durations themselves.
func TestFold(t *testing.T) {
	var c Cell
	bounds := Bounds()
	want := make([]uint64, len(bounds)+1)
	r := rand.New(rand.NewPCG(1, 2))
	var sum time.Duration
	for range 20000 {
		d := time.Duration(1)<<r.IntN(37) + time.Duration(r.IntN(1<<20))
		c.Count(0, &Request{Status: 200, Took: d})
		at, exact := slices.BinarySearch(bounds, d.Truncate(time.Microsecond).Seconds())
		if exact {
			at++ // a bound is not in the bucket that it ends
		}
		want[at]++
		sum += d
	}
	var n Counts
	c.read(&n)
	got := make([]uint64, len(want))
	if s := n.Histogram(got); s != sum.Seconds() {
		t.Errorf("sum %v, want %v", s, sum.Seconds())
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("buckets (-want +got):\n%s", d)
	}
}

func TestQuantile(t *testing.T) {
	var c Cell
	for i := 1; i <= 1000; i++ {
		c.Count(i, &Request{Took: time.Duration(i) * time.Millisecond})
	}
	var n Counts
	c.read(&n)
	f := func(q float64, want time.Duration) {
		t.Helper()
		if got := quantile(&n.Buckets, q); got < want || got > want*119/100+time.Millisecond {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	f(0, time.Millisecond)
	f(0.5, 500*time.Millisecond)
	f(0.99, 990*time.Millisecond)
	f(1, time.Second)
	if quantile(new([buckets]uint64), 0.5) != 0 {
		t.Error("nothing has a quantile")
	}
}

func TestTable(t *testing.T) {
	tab := NewTable()
	tab.Route("shop").Begin(0)
	tab.Route("shop").Begin(3)
	tab.Route("shop").End(3, &Request{Status: 200, Took: time.Millisecond, Sent: 10, Received: 3, Retries: 1})
	tab.Route("").Count(0, &Request{Status: 404})
	p := tab.Pool("web")
	p.Member("a:80").Count(0, &Request{Status: 200, Sent: 10})
	p.Member("b:80").Count(1, &Request{Status: 503, Sent: 2})
	p.Member("").Count(0, &Request{Status: 999})
	f := func(want string) {
		t.Helper()
		s, got := tab.Read(time.Unix(7, 0)), ""
		for _, r := range s.Routes {
			got += r.Name + cell(&r.Counts)
		}
		for _, p := range s.Pools {
			sum := p.Sum()
			got += p.Name + cell(&sum)
			for _, m := range p.Members {
				got += p.Name + "/" + m.Name + cell(&m.Counts)
			}
		}
		if got != want || !s.Time.Equal(time.Unix(7, 0)) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f("shop 1/10/+1 none 1/0/+0 web 3/12/+0 web/a:80 1/10/+0 web/b:80 1/2/+0 web/none 1/0/+0 ")
	tab.Route("shop").Drop(0)
	tab.Keep([]string{"shop"}, map[string][]string{"web": {"b:80", "c:80"}})
	f("shop 1/10/+0 none 1/0/+0 web 3/12/+0 web/b:80 1/2/+0 web/none 1/0/+0 ")
	p.Member("a:80").Count(0, &Request{Status: 200, Sent: 1}) // comes back
	f("shop 1/10/+0 none 1/0/+0 web 4/13/+0 web/a:80 1/1/+0 web/b:80 1/2/+0 web/none 1/0/+0 ")
	tab.Keep(nil, nil)
	f("none 1/0/+0 ")
	if s := tab.Read(time.Now()).Sum(); s.Requests() != 2 || s.InFlight != 0 {
		t.Errorf("in all %d requests, %d under way", s.Requests(), s.InFlight)
	}
	if tab.Pool("web") == p {
		t.Error("the pool is there still")
	}
}

func cell(c *Counts) string {
	return " " + strconv.Itoa(int(c.Requests())) + "/" + strconv.Itoa(int(c.Sent)) + "/+" + strconv.Itoa(int(c.InFlight)) + " "
}

// What has no place is counted under the name Other.
func TestBounds(t *testing.T) {
	tab := NewTable()
	for i := range MaxRoutes + 3 {
		tab.Route("r"+strconv.Itoa(i)).Count(0, &Request{Status: 200})
	}
	for i := range MaxPools + 2 {
		tab.Pool("p"+strconv.Itoa(i)).Member("m").Count(0, &Request{Status: 200})
	}
	p := tab.Pool("p0")
	for i := range MaxMembers {
		p.Member("m"+strconv.Itoa(i)).Count(0, &Request{Status: 200})
	}
	s := tab.Read(time.Now())
	if r := s.Routes[len(s.Routes)-1]; len(s.Routes) != MaxRoutes+1 || r.Name != Other || r.Requests() != 3 {
		t.Errorf("%d routes, the last is %s with %d", len(s.Routes), r.Name, r.Requests())
	}
	if p := s.Pools[len(s.Pools)-1]; len(s.Pools) != MaxPools+1 || p.Name != Other || p.Members[0].Requests() != 2 {
		t.Errorf("%d pools, the last is %+v", len(s.Pools), p.Name)
	}
	members := s.Pools[0].Members
	if m, sum := members[len(members)-1], s.Pools[0].Sum(); m.Name != Other || m.Requests() != MaxPools+1 || sum.Requests() != MaxMembers+1 {
		t.Errorf("%d members, the last is %s with %d; in all %d", len(members), m.Name, m.Requests(), sum.Requests())
	}
	if n := tab.Overflow(); n != 3+2+MaxPools+1 {
		t.Errorf("overflow is %d", n)
	}
}

func TestConcurrent(t *testing.T) {
	tab := NewTable()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			p := tab.Pool("web")
			for i := range 2000 {
				r := tab.Route("r" + strconv.Itoa(i%3))
				r.Begin(w)
				r.End(w, &Request{Status: 200, Took: time.Duration(i), Sent: 1})
				p.Member("m"+strconv.Itoa(i%5)).Count(w, &Request{Status: 200})
				if i%100 == 0 {
					tab.Read(time.Now())
				}
			}
		})
	}
	wg.Wait()
	s := tab.Read(time.Now())
	all := s.Sum()
	sum := s.Pools[0].Sum()
	if all.Requests() != 8000 || all.Sent != 8000 || all.InFlight != 0 || sum.Requests() != 8000 {
		t.Errorf("%d requests, %d bytes, %d in flight, %d at members", all.Requests(), all.Sent, all.InFlight, sum.Requests())
	}
}

func TestRates(t *testing.T) {
	tab := NewTable()
	at := time.Unix(100, 0)
	shop, web := tab.Route("shop"), tab.Pool("web")
	count := func(n int, status int, took time.Duration) {
		for range n {
			r := &Request{Status: status, Took: took, Sent: 100, Received: 10}
			shop.Begin(0)
			shop.End(0, r)
			web.Member("a:80").Count(0, r)
		}
	}
	count(5, 200, time.Hour) // before: not seen in rates
	before := tab.Read(at)
	count(97, 200, 900*time.Microsecond)
	count(2, 503, 30*time.Millisecond)
	count(1, 404, 30*time.Millisecond)
	web.Member("b:80").Count(0, &Request{Status: 200, Retries: 4})
	shop.Begin(1)
	tab.Route("idle")
	now := tab.Read(at.Add(2 * time.Second))
	f := func(by By, want ...Line) {
		t.Helper()
		if d := cmp.Diff(want, Rates(before, now, by).Lines); d != "" {
			t.Errorf("by %s (-want +got):\n%s", by, d)
		}
	}
	shopLine := Line{
		Name: "shop", Rate: 50, Errors: 1, Refused: 0.5, P50: 0.001024, P99: 0.032768, Sent: 5000, Received: 500, InFlight: 1, Total: 105,
	}
	f(Routes, shopLine, Line{Name: "idle"})
	webLine, a := shopLine, shopLine
	webLine.Name, webLine.InFlight, webLine.Rate, webLine.Retries, webLine.Total = "web", 0, 50.5, 2, 106
	f(Pools, webLine)
	a.Name, a.Pool, a.InFlight = "a:80", "web", 0
	f(Members, a, Line{Name: "b:80", Pool: "web", Rate: 0.5, Retries: 2, P50: 16e-6, P99: 16e-6, Total: 1})
	v := Rates(before, now, Routes)
	shopLine.Name = "total"
	if d := cmp.Diff(shopLine, v.Total); d != "" || v.Span != 2*time.Second || v.Active != 1 {
		t.Errorf("total of %v, %d active (-want +got):\n%s", v.Span, v.Active, d)
	}
	if v := Rates(nil, now, Routes); v.Total.Rate != 0 || v.Total.Total != 105 || v.Total.InFlight != 1 {
		t.Errorf("without a reading before: %+v", v.Total)
	}
	// The daemon has begun anew.
	if v := Rates(now, before, Routes); v.Total.Rate != 0 {
		t.Errorf("time goes back: %+v", v.Total)
	}
	before.Time = now.Time.Add(time.Second)
	if v := Rates(now, before, Routes); v.Total.Rate != 5 {
		t.Errorf("counters went back: %+v", v.Total)
	}
}

func BenchmarkRequest(b *testing.B) {
	tab := NewTable()
	route, web := tab.Route("shop"), tab.Pool("web")
	web.Member("192.0.2.17:8080")
	r := &Request{Status: 200, Took: 730 * time.Microsecond, Sent: 1024}
	b.ReportAllocs()
	for b.Loop() {
		route.Begin(0)
		route.End(0, r)
		web.Member("192.0.2.17:8080").Count(0, r)
	}
}

func BenchmarkWorkers(b *testing.B) {
	tab := NewTable()
	route, web := tab.Route("shop"), tab.Pool("web")
	var mu sync.Mutex
	next := 0
	b.RunParallel(func(pb *testing.PB) {
		mu.Lock()
		worker := next
		next++
		mu.Unlock()
		r := &Request{Status: 200, Took: 730 * time.Microsecond, Sent: 1024}
		for pb.Next() {
			route.Begin(worker)
			route.End(worker, r)
			web.Member("192.0.2.17:8080").Count(worker, r)
		}
	})
}

func TestAllocs(t *testing.T) {
	tab := NewTable()
	route, web := tab.Route("shop"), tab.Pool("web")
	r := &Request{Status: 200, Took: 730 * time.Microsecond, Sent: 1024}
	f := func() {
		route.Begin(0)
		route.End(0, r)
		web.Member("192.0.2.17:8080").Count(0, r)
	}
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
