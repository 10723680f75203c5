package mcflags

import "io"

// Usage writes what -h prints.
func Usage(w io.Writer) error {
	_, err := io.WriteString(w, usage)
	return err
}

const usage = `cached, started with memcached's options

Network
  -p, --port=NUM             TCP port (11211); 0: none, -1: any that is free
  -U, --udp-port=NUM         UDP port (0: none)
  -l, --listen=ADDR,...      addresses to listen on (all): HOST, HOST:PORT, [IPV6]:PORT or *, more than
                             once; in front of one may stand notls:, mtls:, proto[ascii]:,
                             proto[binary]:, proto[negotiating]: and tag[NAME]:
  -s, --unix-socket=PATH     listen on this unix socket only
  -a, --unix-mask=OCTAL      permissions of the socket (700)
  -c, --conn-limit=NUM       connections at once (1024)
  -b, --listen-backlog=NUM   connections waiting to be accepted (1024)
  -B, --protocol=NAME        ascii, binary or auto (auto)

Memory
  -m, --memory-limit=MB      memory for items (64)
  -I, --max-item-size=SIZE   largest item, with k or m behind it (1m); 1k to 1024m, at most half of -m
  -M, --disable-evictions    refuse to store when full, instead of evicting
  -e, --memory-file=FILE     keep the items here over a planned restart
  -k, --lock-memory          keep all memory from being swapped out

Commands
  -A, --enable-shutdown      allow shutdown
  -C, --disable-cas          do without CAS
  -F, --disable-flush-all    refuse flush_all
  -X, --disable-dumping      refuse stats cachedump and lru_crawler metadump
  -W, --disable-watch        refuse watch
  -D CHAR                    delimiter of key prefixes in stats detail, which this turns on (:)

Security
  -Y, --auth-file=FILE       text clients must authenticate: at most 8 lines of user:password
  -S, --enable-sasl          binary clients must authenticate by SASL PLAIN; MEMCACHED_SASL_PWDB names
                             the file of user:password lines
  -Z, --enable-ssl           TLS; see ssl_* below
  -u, --user=NAME            become this user when started as root

Process
  -t, --threads=NUM          threads (4)
  -d, --daemon               go to the background
  -P, --pidfile=FILE         write the process id
  -r, --enable-coredumps     allow core dumps of any size
  -v, --verbose              say more; -vv and -vvv still more
  -h, --help                 this text
  -i, --license              the licence
  -V, --version              the version

  -o, --extended=WORD,...    with an effect:
      idle_timeout=SECONDS   close connections silent for so long (0: never)
      [no_]maxconns_fast     tell connections beyond -c so and close them (default), or let them wait
      [no_]track_sizes       allow stats sizes
      [no_]lru_crawler       allow lru_crawler crawl and metadump (default), or only once enabled
      no_modern              memcached 1.4's defaults: no_maxconns_fast
      ssl_chain_cert=FILE    certificate and chain, PEM
      ssl_key=FILE           its key, when it is not in the same file
      ssl_keyformat=NUM      1: PEM, 2: DER (1)
      ssl_ca_cert=FILE       authorities of clients' certificates
      ssl_verify_mode=NUM    of clients; 0: none, 1: asked for, 2 and 3: demanded (0)
      ssl_min_version=NUM    0: TLS 1.0, 1: 1.1, 2: 1.2, 3: 1.3 (2)
      ssl_ciphers=LIST       of TLS 1.2 and older

Accepted and checked, without effect (-v says why)
  -f, --slab-growth-factor   -n, --slab-min-size   -R, --max-reqs-per-event   -N, --napi-ids
  -L, --enable-largepages
  -o hashpower, [no_]hashexpand, hash_algorithm, [no_]slab_reassign, [no_]slab_automove,
     slab_automove_ratio, slab_automove_window, slab_automove_freeratio, slab_sizes, slab_chunk_max,
     no_chunked_items, tail_repair_time, lru_crawler_sleep, lru_crawler_tocrawl,
     [no_]lru_maintainer, hot_lru_pct, warm_lru_pct, hot_max_factor, warm_max_factor, temporary_ttl,
     watcher_logbuf_size, worker_logbuf_size, read_buf_mem_limit, resp_obj_mem_limit,
     [no_]inline_ascii_resp, modern, [no_]drop_privileges, relaxed_privileges, sock_cookie_id,
     ssl_wbuf_size, ssl_session_cache, ssl_kernel_tls, and all of ext_*: there is no storage on flash

Environment
  MEMCACHED_PORT_FILENAME    file to write the ports to
  MEMCACHED_SASL_PWDB        passwords for -S

With everup's own configuration file: cached run -c FILE; see cached --help.
`
