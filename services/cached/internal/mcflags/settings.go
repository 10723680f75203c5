package mcflags

import (
	"crypto/tls"
	"strconv"
	"strings"
	"time"
)

// Setting is one line of `stats settings`. It converts to session.Pair.
type Setting struct{ Name, Value string }

// Live is what changes of the settings while the server runs.
type Live struct {
	MaxBytes  int64 // cache_memlimit
	Verbosity int   // verbosity
	Oldest    int64 // flush_all: seconds after the start before which all is gone
}

// Settings are the lines of `stats settings` in memcached's order, with the keys of 1.6.18 built with TLS and extstore, as Debian's is.
func (o *Options) Settings(now Live) []Setting {
	k := &o.Kept
	return append([]Setting{
		{"maxbytes", dec(now.MaxBytes)}, {"maxconns", dec(o.MaxConns)},
		{"tcpport", dec(o.Port)}, {"udpport", dec(o.UDPPort)}, {"inter", orNull(o.given, "NULL")},
		{"verbosity", dec(now.Verbosity)}, {"oldest", dec(now.Oldest)},
		{"evictions", onOff(!o.NoEvict)}, {"domain_socket", orNull(o.Socket, "NULL")},
		{"umask", strconv.FormatUint(uint64(o.SocketMode), 8)}, {"shutdown_command", yesNo(o.Shutdown)},
		{"growth_factor", fixed(k.GrowthFactor, 2)}, {"chunk_size", dec(k.ChunkSize)},
		{"num_threads", dec(o.Threads)}, {"num_threads_per_udp", dec(o.threadsPerUDP())},
		{"stat_key_prefix", string([]byte{o.Delimiter})}, {"detail_enabled", yesNo(o.Detail)},
		{"reqs_per_event", dec(k.ReqsPerEvent)}, {"cas_enabled", yesNo(!o.NoCAS)}, {"tcp_backlog", dec(o.Backlog)},
		{"binding_protocol", o.Protocol.String()}, {"auth_enabled_sasl", yesNo(o.SASL)},
		{"auth_enabled_ascii", orNull(o.AuthFile, "no")}, {"item_size_max", dec(o.MaxItem)},
		{"maxconns_fast", yesNo(o.MaxConnsFast)}, {"hashpower_init", dec(k.HashPower)},
	}, append(o.slabSettings(), append(o.extSettings(), o.tlsSettings()...)...)...)
}

// threadsPerUDP is what memcached says: each listener of several is served by one thread.
func (o *Options) threadsPerUDP() int {
	if strings.Contains(o.given, ",") {
		return 1
	}
	return o.Threads
}

// flags are OpenSSL's for the mode: verify the peer, fail without its certificate, do so once.
func (m VerifyMode) flags() int { return [...]int{0, 1, 1 | 2, 1 | 2 | 4}[m] }

func (o *Options) slabSettings() []Setting {
	k := &o.Kept
	return []Setting{
		{"slab_reassign", yesNo(k.SlabReassign)}, {"slab_automove", dec(k.SlabAutomove)},
		{"slab_automove_ratio", fixed(k.AutomoveRatio, 2)}, {"slab_automove_window", dec(k.AutomoveWindow)},
		{"slab_chunk_max", dec(k.SlabChunkMax)},
		{"lru_crawler", yesNo(k.LRUCrawler)}, {"lru_crawler_sleep", dec(k.CrawlerSleep)}, {"lru_crawler_tocrawl", dec(k.CrawlerToCrawl)},
		{"tail_repair_time", dec(k.TailRepairTime)}, {"flush_enabled", yesNo(!o.NoFlush)}, {"dump_enabled", yesNo(!o.NoDump)},
		{"hash_algorithm", k.HashAlgorithm}, {"lru_maintainer_thread", yesNo(k.LRUMaintainer)}, {"lru_segmented", yesNo(k.LRUSegmented)},
		{"hot_lru_pct", dec(k.HotPct)}, {"warm_lru_pct", dec(k.WarmPct)},
		{"hot_max_factor", fixed(k.HotMaxFactor, 2)}, {"warm_max_factor", fixed(k.WarmMaxFactor, 2)},
		{"temp_lru", yesNo(k.TempLRU)}, {"temporary_ttl", dec(k.TempTTL)},
		{"idle_timeout", dec(o.IdleTimeout / time.Second)},
		{"watcher_logbuf_size", dec(k.WatcherBuf)}, {"worker_logbuf_size", dec(k.WorkerBuf)}, {"read_buf_mem_limit", dec(k.ReadBufLimit)},
		{"track_sizes", yesNo(o.TrackSizes)}, {"inline_ascii_response", yesNo(k.InlineASCII)},
	}
}

func (o *Options) extSettings() []Setting {
	e := &o.Kept.Ext
	return []Setting{
		{"ext_item_size", dec(e.ItemSize)}, {"ext_item_age", dec(e.ItemAge)}, {"ext_low_ttl", dec(e.LowTTL)},
		{"ext_recache_rate", dec(e.RecacheRate)}, {"ext_wbuf_size", dec(e.WriteBuf)},
		{"ext_compact_under", dec(e.CompactUnder)}, {"ext_drop_under", dec(e.DropUnder)},
		{"ext_max_sleep", dec(e.MaxSleep)}, {"ext_max_frag", fixed(e.MaxFrag, 2)},
		{"slab_automove_freeratio", fixed(o.Kept.AutomoveFreeRatio, 3)}, {"ext_drop_unread", yesNo(e.DropUnread)},
	}
}

func (o *Options) tlsSettings() []Setting {
	t, k := &o.TLS, &o.Kept
	return []Setting{
		{"ssl_enabled", yesNo(t.Enabled)}, {"ssl_chain_cert", orNull(t.Cert, "(null)")}, {"ssl_key", orNull(t.Key, "(null)")},
		{"ssl_verify_mode", dec(t.Verify.flags())}, {"ssl_keyformat", dec(t.KeyFormat)},
		{"ssl_ciphers", orNull(t.Ciphers, "NULL")}, {"ssl_ca_cert", orNull(t.CA, "NULL")},
		{"ssl_wbuf_size", dec(k.TLSBuf)}, {"ssl_session_cache", yesNo(k.TLSSessionCache)}, {"ssl_kernel_tls", yesNo(k.TLSKernel)},
		{"ssl_min_version", tlsName(t.MinVersion)},
		{"num_napi_ids", "(null)"}, {"memory_file", orNull(o.MemoryFile, "(null)")},
	}
}

func tlsName(version uint16) string {
	return "tlsv1." + strconv.Itoa(int(version)-tls.VersionTLS10)
}

func dec[T ~int | ~int32 | ~int64 | ~uint8](n T) string { return strconv.FormatInt(int64(n), 10) }

func fixed(x float64, digits int) string { return strconv.FormatFloat(x, 'f', digits, 64) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// orNull is s, or what memcached writes when it is not set.
func orNull(s, null string) string {
	if s == "" {
		return null
	}
	return s
}
