package config

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// containers reads the list of containers. Each is checked for itself here;
// what spans them is checked when topics are known.
func (l *loader) containers(node ast.Node) {
	if _, empty := node.(*ast.NullNode); empty {
		return
	}
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		l.problem(l.at(node), "containers", "%s, want a list", l.describe(node))
		return
	}
	for _, value := range list.Values {
		l.container(value, fmt.Sprintf("containers[%d]", len(l.cfg.Containers)))
	}
}

func (l *loader) container(node ast.Node, path string) {
	one := Container{Start: StartBeginning}
	texts := map[string]*string{
		"database": &one.Database, "container": &one.Container, "topic": &one.Topic,
		"start": (*string)(&one.Start), "deletes": (*string)(&one.Deletes),
	}
	known := []string{"database", "container", "topic", "start", "deletes", "soft_delete"}
	for _, key := range known {
		l.cfg.origins[path+"."+key] = "default"
	}
	where := l.at(node)
	entries := l.mapping(node, path)
	if len(entries) > 0 {
		_, where = l.key(entries[0]) // a block mapping's own token is its first colon
	}
	for _, entry := range entries {
		name, at := l.key(entry)
		target, isText := texts[name]
		text, ok := stringOf(entry.Value)
		switch {
		case name == "soft_delete":
			one.SoftDelete = l.softDelete(entry.Value, path+".soft_delete", at)
		case !isText:
			l.unknown(entry, path, known)
			continue
		case !ok:
			l.problem(at, path+"."+name, "%s, want a string", l.describe(entry.Value))
			continue
		default:
			*target = text
		}
		l.cfg.origins[path+"."+name] = at
	}
	l.cfg.Containers = append(l.cfg.Containers, one)
	l.cfg.origins[path] = where
}

func (l *loader) softDelete(node ast.Node, path, where string) *SoftDelete {
	var rule SoftDelete
	var value ast.Node
	for _, entry := range l.mapping(node, path) {
		name, at := l.key(entry)
		switch name {
		case "path":
			text, ok := stringOf(entry.Value)
			if !ok || !isPropertyPath(text) {
				l.problem(at, path+".path", "%s, want the path of a property such as /deleted", l.describe(entry.Value))
			}
			rule.Path = text
		case "value":
			value = entry.Value
			var ok bool
			if rule.Value, ok = scalarOf(value); !ok {
				l.problem(at, path+".value", "%s, want a JSON string, number, boolean or null", l.describe(value))
			}
		default:
			l.unknown(entry, path, []string{"path", "value"})
		}
	}
	if rule.Path == "" || value == nil {
		l.problem(where, path, "want {path: /deleted, value: true}")
	}
	return &rule
}

// isPropertyPath says whether text is /name or /name/name.
func isPropertyPath(text string) bool {
	rest, ok := strings.CutPrefix(text, "/")
	if !ok {
		return false
	}
	for name := range strings.SplitSeq(rest, "/") {
		if name == "" {
			return false
		}
	}
	return true
}

// derive fills the defaults that depend on other values.
func (l *loader) derive() {
	c := l.cfg
	temporary := os.TempDir()
	for _, one := range []struct {
		path, from, value string
		target            *string
	}{
		{"cosmos.account", "cosmos.endpoint", accountOf(c.Cosmos.Endpoint), &c.Cosmos.Account},
		{"producer.root", "archive.root", c.Archive.Root, &c.Producer.Root},
		{"compactor.spill", "the system", temporary, &c.Compactor.Spill},
		{"restorer.spill", "the system", temporary, &c.Restorer.Spill},
	} {
		if *one.target == "" && one.value != "" {
			*one.target = one.value
			c.origins[one.path] = "default, from " + one.from
		}
	}
	l.deriveKafka()
	for i := range c.Containers {
		if one := &c.Containers[i]; one.Topic == "" {
			one.Topic = c.Kafka.TopicPrefix + "." + one.Name()
		}
	}
}

// accountOf is the first label of the endpoint's host; an IP address has none
// and stands whole.
func accountOf(endpoint string) string {
	address, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	host := address.Hostname()
	if net.ParseIP(host) != nil {
		return host
	}
	label, _, _ := strings.Cut(host, ".")
	return label
}

// check states what no single key shows.
func (l *loader) check() {
	c := l.cfg
	if c.Cosmos.Endpoint != "" {
		address, err := url.Parse(c.Cosmos.Endpoint)
		switch {
		case err == nil && address.Scheme == "http":
			l.reject("cosmos.endpoint", "%q is not encrypted, and only https:// is spoken; an emulator speaks it too (the Linux one with --protocol https), "+
				"and cosmos.ca_file takes its certificate", c.Cosmos.Endpoint)
		case err != nil || address.Scheme != "https" || address.Hostname() == "":
			l.reject("cosmos.endpoint", "%q is no address of an account, want https://<account>.documents.azure.com:443/", c.Cosmos.Endpoint)
		}
	}
	if strings.ContainsAny(c.Cosmos.Account, "/?# ") {
		l.reject("cosmos.account", "%q is no name of an account", c.Cosmos.Account)
	}
	for _, broker := range c.Kafka.Brokers {
		if _, port, err := net.SplitHostPort(broker); err != nil || port == "" || !mayBePort(port) {
			l.reject("kafka.brokers", "%q is no address, want host:port", broker)
		}
	}
	l.checkKafka()
	if _, port, err := net.SplitHostPort(c.Service.Listen); c.Service.Listen != "" && (err != nil || !mayBePort(port)) {
		l.reject("service.listen", "%q is no address, want host:port or :port", c.Service.Listen)
	}
	l.checkRoots()
	for _, group := range []struct{ path, value string }{{"producer.group", c.Producer.Group}, {"archiver.group", c.Archiver.Group}} {
		if group.value == "" {
			l.reject(group.path, "a consumer group needs a name")
		}
	}
	if c.Producer.Group == c.Archiver.Group {
		l.reject("archiver.group", "%q is the producer's group too; the archiver reads on its own", c.Archiver.Group)
	}
	for _, pair := range []struct {
		often, seldom string
		wrong         bool
	}{
		{"producer.mark_interval", "producer.idle_mark_interval", c.Producer.MarkInterval > c.Producer.IdleMarkInterval},
		{"producer.checkpoint_interval", "producer.idle_checkpoint_interval", c.Producer.CheckpointInterval > c.Producer.IdleCheckpointInterval},
	} {
		if pair.wrong {
			l.reject(pair.seldom, "is shorter than %s", pair.often)
		}
	}
	l.checkContainers()
}

// checkRoots keeps secrets out of what is printed, and one secret from being
// used while its owner thinks of another. What a root means is blob/open's.
func (l *loader) checkRoots() {
	c := l.cfg
	for _, root := range []struct{ path, value string }{{"archive.root", c.Archive.Root}, {"producer.root", c.Producer.Root}} {
		if root.path == "producer.root" && root.value == c.Archive.Root {
			continue // its default
		}
		scheme, rest, ok := strings.Cut(root.value, "://")
		switch {
		case ok && !slices.Contains([]string{"az", "https", "http", "file"}, scheme):
			l.reject(root.path, "scheme %s is not known; want az://ACCOUNT/CONTAINER or a folder", scheme)
		case ok && scheme != "file" && strings.ContainsAny(rest, "?@"):
			l.reject(root.path, "holds a query or a user; a root is printed, so a shared access signature goes into archive.sas")
		case root.value == "~" || strings.HasPrefix(root.value, "~/") || strings.HasPrefix(root.value, "$"):
			l.reject(root.path, "%q: ~ and $ are not expanded here; write the folder's path out", root.value)
		}
	}
	given := ""
	for _, secret := range []struct {
		path  string
		value Secret
	}{{"archive.connection_string", c.Archive.ConnectionString}, {"archive.account_key", c.Archive.AccountKey}, {"archive.sas", c.Archive.SAS}} {
		if !secret.value.IsSet() {
			continue
		}
		if given != "" {
			l.reject(secret.path, "%s is set too; keep one of them, or none to use Entra ID", given)
		}
		given = secret.path
	}
}

// reject reports a problem of a setting at its origin.
func (l *loader) reject(path, format string, args ...any) {
	l.problem(l.cfg.origins[path], path, format, args...)
}

func (l *loader) checkContainers() {
	first := map[string]int{}
	for i, one := range l.cfg.Containers {
		where := l.cfg.origins[fmt.Sprintf("containers[%d]", i)]
		key := fmt.Sprintf("containers[%d]", i)
		if one.Database == "" || one.Container == "" {
			l.problem(where, key, "database and container are needed")
			continue
		}
		key += " " + one.Name()
		if before, twice := first[one.Name()]; twice {
			l.problem(where, key, "has the same name as containers[%d]", before)
		}
		first[one.Name()] = i
		for _, id := range []string{one.Database, one.Container} {
			if len(id) > 255 || strings.ContainsAny(id, "/\\#?") {
				l.problem(where, key, "%q is no name in Cosmos DB: 255 bytes at most, without / \\ # ?", id)
			}
		}
		if !isTopic(one.Topic) {
			l.problem(where, key, "%q is no topic: letters, digits, . _ and -, 249 at most; give another by topic", one.Topic)
		}
		if one.Start != StartBeginning && one.Start != StartNow {
			l.problem(where, key, "start %q is not known, want beginning or now", one.Start)
		}
		l.checkDeletes(one, where, key)
	}
}

// checkDeletes insists on a declaration: the feed shows no deletions, so a
// default would be a guess about somebody's data (INV-5).
func (l *loader) checkDeletes(one Container, where, key string) {
	const choices = "deletes: none (documents are never deleted) or deletes: soft (with soft_delete: {path: /deleted, value: true})"
	switch {
	case one.Deletes == "":
		l.problem(where, key, "how documents are deleted is not declared; say %s", choices)
	case one.Deletes == "hard":
		l.problem(where, key, "deletes: hard is not followed by this version: a document that is deleted leaves no trace in the "+
			"LatestVersion change feed, so no restore could know of it; mark documents as deleted instead, and say %s", choices)
	case one.Deletes != DeletesNone && one.Deletes != DeletesSoft:
		l.problem(where, key, "deletes %q is not known; say %s", one.Deletes, choices)
	case one.Deletes == DeletesSoft && one.SoftDelete == nil:
		l.problem(where, key, "deletes: soft needs soft_delete: {path: /deleted, value: true}")
	case one.Deletes == DeletesNone && one.SoftDelete != nil:
		l.problem(where, key, "soft_delete contradicts deletes: none; remove it or say deletes: soft")
	}
}

func isTopic(name string) bool {
	const legal = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	return name != "" && len(name) <= 249 && name != "." && name != ".." && strings.Trim(name, legal) == ""
}

// mayBePort takes names of services too, as whoever listens does.
func mayBePort(text string) bool {
	n, err := strconv.Atoi(text)
	return err != nil || n >= 0 && n <= 65535
}
