package probe

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

// healthServer answers grpc.health.v1.Health/Check as a gRPC server does: status and message in trailers.
func healthServer(services map[string]servingStatus) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		var name string
		if len(body) > 7 {
			name = string(body[7:]) // prefix of 5, key, length below 128
		}
		status, ok := services[name]
		switch {
		case r.URL.Path != "/grpc.health.v1.Health/Check" || r.Header.Get("Te") != "trailers" || r.Header.Get("Grpc-Timeout") == "":
			w.Header().Set("Grpc-Status", "12") // an answer of headers alone
		case !ok:
			w.Header().Set("Grpc-Status", "5")
		default:
			w.Write(frame(1<<3, byte(status)))
			w.Header().Set("Grpc-Status", "0")
		}
	})
}

// frame puts the length-prefix of gRPC before a message.
func frame(msg ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(msg))), msg...)
}

func TestGRPC(t *testing.T) {
	labtest.LeakCheck(t)
	addr := serveH2C(t, healthServer(map[string]servingStatus{"": serving, "shop.Cart": serving, "shop.Pay": 2, "shop.Odd": 9}))
	wantOK(t, check(t, addr, "type: grpc"), "SERVING")
	wantOK(t, check(t, addr, "{type: grpc, grpc: {service: shop.Cart}}"), "SERVING")
	wantBad(t, check(t, addr, "{type: grpc, grpc: {service: shop.Pay}}"), fault.Unavailable, "NOT_SERVING")
	wantBad(t, check(t, addr, "{type: grpc, grpc: {service: shop.Odd}}"), fault.Unavailable, "status 9")
	wantBad(t, check(t, addr, "{type: grpc, grpc: {service: shop.Gone}}"), fault.NotFound, "does not know")
}

func TestGRPCBadServers(t *testing.T) {
	labtest.LeakCheck(t)
	f := func(class fault.Class, words string, h http.HandlerFunc) {
		t.Helper()
		wantBad(t, check(t, serveH2C(t, h), "type: grpc"), class, words)
	}
	status := func(code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Grpc-Status", code) }
	}
	body := func(b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "Grpc-Status")
			w.Write(b)
			w.Header().Set("Grpc-Status", "0")
		}
	}
	f(fault.Unsupported, "no grpc.health", status("12"))
	f(fault.Denied, "16", status("16"))
	f(fault.Unavailable, "14", status("14"))
	f(fault.Corrupt, "does not speak gRPC", status("x"))
	f(fault.Corrupt, "does not speak gRPC", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") })
	f(fault.Unavailable, "404", http.NotFound)
	f(fault.Corrupt, "more than 4096", body(bytes.Repeat([]byte{0}, 1<<20)))
	f(fault.Corrupt, "not a HealthCheckResponse", body([]byte("hello")))
	f(fault.Unavailable, "is UNKNOWN", body(frame()))
}

func TestGRPCOverTLS(t *testing.T) {
	labtest.LeakCheck(t)
	addr, ca := serveTLS(t, healthServer(map[string]servingStatus{"": serving}))
	wantOK(t, check(t, addr, "{type: grpc, tls: {ca_file: "+ca+"}}"), "SERVING", "expires in 60 days")
	wantBad(t, check(t, addr, "type: grpc"), fault.Unavailable)
}

func FuzzHealthResponse(f *testing.F) {
	f.Add(frame(1<<3, 1))
	f.Add(frame(2<<3|2, 3, 'a', 'b', 'c', 1<<3, 2))
	f.Add(frame(3<<3|5, 1, 2, 3, 4, 4<<3|1, 1, 2, 3, 4, 5, 6, 7, 8))
	f.Add(frame(1<<3, 0x80))
	f.Add(frame(2<<3|2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		status, err := parseHealthResponse(b)
		if err != nil && (status != 0 || !strings.Contains(err.Error(), "HealthCheckResponse")) {
			t.Errorf("%x: %v, %v", b, status, err)
		}
	})
}

func TestHealthResponse(t *testing.T) {
	f := func(want servingStatus, msg ...byte) {
		t.Helper()
		if got, err := parseHealthResponse(frame(msg...)); got != want || err != nil {
			t.Errorf("%x: %v, %v; want %v", msg, got, err, want)
		}
	}
	f(0)
	f(serving, 1<<3, 1)
	f(2, 1<<3, 1, 1<<3, 2)                        // the last of a field counts
	f(serving, 2<<3|2, 3, 'a', 'b', 'c', 1<<3, 1) // unknown fields are passed over
	f(serving, 3<<3|5, 1, 2, 3, 4, 1<<3, 1)
}
