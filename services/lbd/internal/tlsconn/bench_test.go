package tlsconn

import (
	"crypto/tls"
	"runtime"
	"testing"
)

// BenchmarkTransfer seals, carries and opens 64 KiB with a head of 300 bytes, on wires in memory.
func BenchmarkTransfer(b *testing.B) {
	p := connect(b, tls.VersionTLS13, 0, 0)
	head, data, room := random(300), random(65536), make([]byte, 70000)
	b.SetBytes(int64(len(head) + len(data)))
	b.ReportAllocs()
	for b.Loop() {
		p.toClient.b = p.toClient.b[:0]
		if n, err := p.server.Write(head, data); n != 65836 || err != nil {
			b.Fatal(n, err)
		}
		kept := p.toClient.b
		if n, err := p.client.Read(room); n != 65836 || err != nil {
			b.Fatal(n, err)
		}
		p.toClient.b = kept
	}
}

// BenchmarkSeal is the writing half alone.
func BenchmarkSeal(b *testing.B) {
	p := connect(b, tls.VersionTLS13, 0, 0)
	head, data := random(300), random(65536)
	b.SetBytes(int64(len(head) + len(data)))
	b.ReportAllocs()
	for b.Loop() {
		p.toClient.b = p.toClient.b[:0]
		if n, err := p.server.Write(head, data); n != 65836 || err != nil {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkHandshake does both sides' handshakes.
func BenchmarkHandshake(b *testing.B) {
	for _, resumed := range []bool{false, true} {
		name := map[bool]string{false: "full", true: "resumed"}[resumed]
		b.Run(name, func(b *testing.B) {
			server, client := configs(b, tls.VersionTLS13)
			if resumed {
				client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			b.ReportAllocs()
			for b.Loop() {
				p := newPair(server, client, 0, 0)
				if c, s := p.shake(); c != nil || s != nil {
					b.Fatal(c, s)
				}
				p.client.Idle()
			}
		})
	}
}

// BenchmarkIdle tells what a server's connection holds on to after a handshake and a request.
func BenchmarkIdle(b *testing.B) {
	for _, size := range []int{300, 16384} {
		b.Run(map[int]string{300: "head", 16384: "upload"}[size], func(b *testing.B) {
			server, client := configs(b, tls.VersionTLS13)
			const n = 500
			request := random(size)
			for b.Loop() {
				before := heap()
				idle := make([]*Conn, n)
				env := NewEnv(1)
				for i := range idle {
					p := newPair(server, client, 0, 0)
					if c, s := p.shake(); c != nil || s != nil {
						b.Fatal(c, s)
					}
					for range 3 {
						carry(b, p.client, p.server, request, 1<<16)
						carry(b, p.server, p.client, request, 1<<16)
					}
					p.server.Move(wire{}, env)
					idle[i] = p.server
				}
				b.ReportMetric(float64(heap()-before)/n, "B/conn")
				runtime.KeepAlive(idle)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
