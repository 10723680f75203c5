package http1

import "testing"

// browser is a request as Chromium sends it.
const browser = "GET /assets/app.8f2c1d.js?v=12 HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n" +
	"sec-ch-ua: \"Chromium\";v=\"126\", \"Not.A/Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"sec-ch-ua-platform: \"Linux\"\r\nAccept: */*\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\n" +
	"Referer: https://www.example.com/\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n"

func BenchmarkRequest(b *testing.B) {
	f := func(name, raw string) {
		b.Run(name, func(b *testing.B) {
			lim := DefaultLimits()
			in := []byte(raw)
			var h Head
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				h.Reset()
				if done, why := h.ParseRequest(in, &lim); !done {
					b.Fatal(why)
				}
			}
		})
	}
	f("small", "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n")
	f("browser", browser)
}
