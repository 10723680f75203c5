package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/everup/everup/deploy/bench/cached/load"
	"github.com/everup/everup/shared/fault"
)

// loadFlags are a workload in words.
type loadFlags struct {
	network, protocol, order, arrivals string
	connections, loops                 int
	fill                               bool
	work                               load.Workload
}

func loadCommand() *cobra.Command {
	var f loadFlags
	c := &cobra.Command{
		Use: "load ADDRESS", Short: "Put load on a memcached server and say how it answered", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	s := c.Flags()
	s.StringVar(&f.network, "network", "tcp", "tcp (host:port) or unix (path)")
	s.StringVar(&f.protocol, "protocol", "text", "text, meta or binary")
	s.IntVar(&f.connections, "connections", 50, "open connections")
	s.IntVar(&f.loops, "loops", 1, "threads that share them")
	s.IntVar(&f.work.Depth, "depth", 1, "requests written at once by a connection (closed loop)")
	s.Float64Var(&f.work.Rate, "rate", 0, "requests per second of an open loop; 0 means a closed loop")
	s.StringVar(&f.arrivals, "arrivals", "poisson", "of an open loop: poisson or even")
	s.DurationVar(&f.work.Duration, "duration", 5*time.Second, "after which no request is sent")
	s.IntVar(&f.work.Requests, "requests", 0, "to send in all; 0 means no limit")
	s.Float64Var(&f.work.GetShare, "gets", 0.9, "share of gets among the requests")
	s.IntVar(&f.work.Multiget, "multiget", 1, "keys asked for in one get")
	s.BoolVar(&f.work.Refill, "refill", false, "set what a get missed")
	s.StringVar(&f.order, "order", "uniform", "of the keys: uniform, zipf or sequential (each once)")
	s.Float64Var(&f.work.Skew, "skew", 0.99, "of zipf")
	s.IntVar(&f.work.Keys, "keys", 100_000, "how many there are")
	s.IntVar(&f.work.KeyLen, "key-bytes", 16, "length of keys")
	s.IntVar(&f.work.Sizes.Min, "value-min", 100, "least length of values, in bytes")
	s.IntVar(&f.work.Sizes.Max, "value-max", 0, "greatest; lengths are spread log-uniformly; 0 means that all have the least")
	s.IntVar(&f.work.CheckEvery, "check-every", 64, "one value in so many is compared byte by byte")
	s.Uint64Var(&f.work.Seed, "seed", 0, "of all that is drawn")
	s.BoolVar(&f.fill, "fill", true, "set all keys before")
	return c
}

// workload returns the workload that the flags describe.
func (f *loadFlags) workload() (load.Workload, error) {
	w := f.work
	w.Sizes.Max = max(w.Sizes.Max, w.Sizes.Min)
	var ok [3]bool
	w.Protocol, ok[0] = pick(f.protocol, map[string]load.Protocol{"text": load.Text, "meta": load.Meta, "binary": load.Binary})
	w.Order, ok[1] = pick(f.order, map[string]load.Order{"uniform": load.Uniform, "zipf": load.Zipf, "sequential": load.Sequential})
	w.Arrivals, ok[2] = pick(f.arrivals, map[string]load.Arrivals{"poisson": load.Poisson, "even": load.Even})
	if ok != [3]bool{true, true, true} {
		return w, fault.New(fault.Invalid, "protocol %s, order %s, arrivals %s: one of them is none", f.protocol, f.order, f.arrivals)
	}
	return w, nil
}

func pick[T any](word string, of map[string]T) (T, bool) {
	v, ok := of[word]
	return v, ok
}

func (f *loadFlags) run(c *cobra.Command, address string) error {
	w, err := f.workload()
	if err != nil {
		return err
	}
	client, err := load.Dial(c.Context(), f.network, address, f.connections, f.loops)
	if err != nil {
		return err
	}
	defer client.Close()
	if f.fill {
		all := w
		all.Order, all.GetShare, all.Rate, all.Depth, all.Duration, all.Requests = load.Sequential, 0, 0, 32, 0, 0
		if _, err := client.Run(c.Context(), all); err != nil {
			return err
		}
	}
	r, err := client.Run(c.Context(), w)
	if err != nil {
		return err
	}
	printResult(c.OutOrStdout(), r)
	return nil
}

func printResult(w io.Writer, r *load.Result) {
	per := func(n float64) float64 { return n / float64(max(r.Requests, 1)) }
	fmt.Fprintf(w, "requests  %d in %v, %.0f a second\n", r.Requests, r.Duration.Round(time.Microsecond), float64(r.Requests)/r.Duration.Seconds())
	fmt.Fprintf(w, "gets      %d: %d hits, %d misses, %d values compared\n", r.Gets, r.Hits, r.Misses, r.Checked)
	fmt.Fprintf(w, "sets      %d: %d stored\n", r.Sets, r.Stored)
	if r.Refused > 0 {
		fmt.Fprintf(w, "refused   %d, the first: %s\n", r.Refused, r.Refusal)
	}
	fmt.Fprintf(w, "bytes     %d in, %d out\n", r.In, r.Out)
	quantiles := func(name string, h *load.Hist) {
		us := func(q float64) float64 { return float64(h.Quantile(q)) / 1e3 }
		fmt.Fprintf(w, "%-9s p50 %.1f, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f µs\n", name, us(0.5), us(0.9), us(0.99), us(0.999), us(1))
	}
	quantiles("latency", &r.Latency)
	if r.Late.Count() > 0 {
		quantiles("late", &r.Late)
	}
	fmt.Fprintf(w, "generator %.2f µs CPU, %.3f reads, %.3f writes, %.3f waits a request\n", per(float64(r.CPU)/1e3),
		per(float64(r.Calls.Read)), per(float64(r.Calls.Write)), per(float64(r.Calls.Wait)))
}
