package delta

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

const (
	logFolder     = "_delta_log/"
	hintName      = logFolder + "_last_checkpoint"
	versionDigits = 20
	commitSuffix  = ".json"
	singleSuffix  = ".checkpoint.parquet"
)

func commitName(version int64) string {
	return fmt.Sprintf("%s%0*d%s", logFolder, versionDigits, version, commitSuffix)
}

func checkpointName(version int64) string {
	return fmt.Sprintf("%s%0*d%s", logFolder, versionDigits, version, singleSuffix)
}

// parseLogName tells the version and the rest of a name in the log; ok is false for names that have no version.
func parseLogName(name string) (version int64, suffix string, ok bool) {
	name, found := strings.CutPrefix(name, logFolder)
	if !found || len(name) < versionDigits {
		return 0, "", false
	}
	version, err := strconv.ParseInt(name[:versionDigits], 10, 64)
	if err != nil || version < 0 {
		return 0, "", false
	}
	return version, name[versionDigits:], true
}

// escapePath writes a relative path as the URI reference that the log holds. Colons are escaped too, or a reader could
// take what stands before one for a scheme.
func escapePath(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = strings.ReplaceAll(url.PathEscape(segment), ":", "%3A")
	}
	return strings.Join(segments, "/")
}

func unescapePath(escaped string) (string, error) {
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return "", fmt.Errorf("parse path %q of a file: %w", escaped, err)
	}
	if u, err := url.Parse(escaped); strings.HasPrefix(path, "/") || err == nil && u.Scheme != "" {
		return "", fmt.Errorf("parse path %q of a file: it lies outside the table's folder; copy the table (a shallow clone cannot be read)", escaped)
	}
	return path, nil
}
