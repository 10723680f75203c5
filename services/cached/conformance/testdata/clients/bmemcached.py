import sys
import bmemcached

c = bmemcached.Client(["%s:%s" % (sys.argv[1], sys.argv[2])], socket_timeout=20)
assert c.set("a", "1", time=100) and c.get("a") == "1"
many = {"k%d" % i: "v" * i for i in range(200)}
c.set_multi(many)
assert c.get_multi(list(many) + ["absent"]) == many
value, token = c.gets("a")
assert c.cas("a", "2", token) and not c.cas("a", "3", token)
assert c.incr("n", 40, default=2) == 2 and c.incr("n", 40) == 42 and c.decr("n", 2) == 40
assert not c.add("a", "x") and not c.replace("absent", "x")
large = "x" * 1000000
assert c.set("large", large, compress_level=0) and c.get("large") == large
assert c.set("object", {"a": [1, 2.5, None]}) and c.get("object") == {"a": [1, 2.5, None]}
assert c.delete("large") and c.get("large") is None
assert c.delete_multi(["k1", "k2"]) and c.get("k1") is None and c.get("k3") == "vvv"
stats = list(c.stats().values())[0]
assert int(stats["curr_items"]) == 201, stats
assert c.flush_all() and c.get("a") is None
c.disconnect_all()
