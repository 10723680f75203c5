package proxy

import (
	"net/http"
	"time"
)

// answerWriter counts an answer and bounds the wait for the client to take it.
type answerWriter struct {
	http.ResponseWriter
	rc       *http.ResponseController
	patience time.Duration
	status   int // 0: none yet
	sent     int64
}

// WriteHeader sends the final status.
func (w *answerWriter) WriteHeader(status int) {
	w.status = status
	w.extend()
	w.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (w *answerWriter) Write(b []byte) (int, error) {
	w.extend()
	n, err := w.ResponseWriter.Write(b)
	w.sent += int64(n)
	return n, err
}

// flush sends what net/http holds back.
func (w *answerWriter) flush() error {
	w.extend()
	return w.rc.Flush()
}

// extend gives the client its time anew.
func (w *answerWriter) extend() { w.rc.SetWriteDeadline(time.Now().Add(w.patience)) }
