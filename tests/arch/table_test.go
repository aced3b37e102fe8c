package arch_test

// The architecture, as tables. A row says which packages of the project a
// package may import, and why; a package without a row fails the test.

// layer is one row: packages whose path (below the module's) is path or lies
// below it, the longest path first. May lists own packages with all below
// them; "" allows all, own subpackages are always allowed.
type layer struct {
	path string
	may  []string
	why  string
}

func layers() []layer {
	return []layer{
		{"schemas", nil, "the contract on the topic: whoever imports it must download nothing else"},
		{"cosmosfake", []string{"schemas"}, "an emulator for anybody's tests: it must not drag the product into them, nor share its mistakes"},
		{"internal/config", []string{"schemas"}, "everything may be configured, so configuration may know nobody"},
		{"internal/service", []string{"internal/config"}, "the frame knows no domain; exit codes reach it through an interface"},
		{"internal/sleep", nil, "a wait that a context ends, for whoever waits"},
		{"internal/advice", nil, "an error and its remedy; what is to be said is its user's business"},
		{"internal/failpoint", nil, "empty without its build tag, so it must not bring anything along"},
		{"internal/check", []string{"internal/blob"}, "findings and the probe of a store; what a program needs is the program's business"},
		{"internal/kafka", []string{"internal/advice", "internal/config", "internal/check", "internal/entra", "internal/sleep", "schemas"}, "a client with options, and what it finds of topics; who reads what is the programs' business"},
		{"internal/cosmos", []string{"internal/advice", "internal/sleep", "internal/config", "schemas"}, "a client with a page scanner; generations and marks are the producer's business"},
		{"internal/entra", nil, "who the programs are to Azure; what a token is for is its user's business"},
		{"internal/blob", []string{"internal/config", "internal/entra"}, "a store of four methods; it knows no name that is kept in it"},
		{"internal/delta", []string{"internal/blob", "internal/sleep"}, "the log of any Delta table; a column of ours in it would be a format of our own"},
		{"internal/topicid", []string{"internal/blob", "schemas"}, "both ends of a topic agree on its identity, and one of them knows no Parquet"},
		{"internal/archive", []string{"internal/topicid", "internal/delta", "internal/blob", "schemas"}, "our layout, and no opinion about what a state is"},
		{"internal/replay", []string{"internal/archive", "internal/topicid", "internal/delta", "internal/blob", "schemas"}, "one fold for compactor and restorer: it depends on neither"},
		{"producer", []string{"internal", "schemas"}, "programs talk through topic and archive, never through Go"},
		{"archiver", []string{"internal", "schemas"}, "programs talk through topic and archive, never through Go"},
		{"compactor", []string{"internal", "schemas"}, "programs talk through topic and archive, never through Go"},
		{"restorer", []string{"internal", "schemas"}, "programs talk through topic and archive, never through Go"},
		{"tests", []string{""}, "only development needs it; nothing in the product can import it, for it is another module"},
		{"tests/accept/oracle", []string{"tests/accept/oracle"}, "it judges the product, so it shares nothing with it but the formats"},
	}
}

// ban forbids modules to a package and to everything that it pulls in.
type ban struct {
	path    string // the package and all below it
	modules []string
	why     string
}

func bans() []ban {
	const (
		azure   = "github.com/Azure/azure-sdk-for-go"
		parquet = "github.com/parquet-go/parquet-go"
		kafka   = "github.com/twmb/franz-go"
		cosmos  = azure + "/sdk/data/azcosmos"
	)
	return []ban{
		{"producer", []string{parquet}, "it runs beside the source: small, and free of the archive's format"},
		{"archiver", []string{cosmos, module + "/internal/cosmos"}, "it archives a topic, whoever wrote it"},
		{"compactor", []string{cosmos, module + "/internal/cosmos", kafka, module + "/internal/kafka"}, "it works on files alone, so it runs anywhere, years later"},
		{"restorer", []string{kafka, module + "/internal/kafka"}, "a restore must not need the topic, which is long gone"},
		{"cosmosfake", []string{azure, kafka, parquet}, "whoever embeds it in a test downloads nothing else"},
		{"internal/archive", []string{kafka, cosmos}, "files must be readable without either service"},
		{"internal/replay", []string{kafka, cosmos}, "files must be readable without either service"},
	}
}

// owner says who alone imports a module directly, so that one package owns its
// options and its mistakes.
type owner struct {
	module string
	only   []string
	why    string
}

func owners() []owner {
	return []owner{
		{"github.com/parquet-go/parquet-go", []string{"internal/delta", "internal/archive"}, "one function owns the writer's options"},
		{"github.com/alecthomas/kong", []string{"internal/service"}, "flags and environment are the frame's"},
		{"github.com/goccy/go-yaml", []string{"internal/config"}, "one strict almanac.yaml"},
		{"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos", []string{"internal/cosmos"}, "its traps (retries, dropped fields, keys) are known in one place"},
		{"github.com/Azure/azure-sdk-for-go/sdk/azidentity", []string{"internal/entra"}, "who is asked for an identity, and what its errors mean, stands in one place"},
		{"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob", []string{"internal/blob/azure"}, "its traps (dropped conditions, repeated puts) are known in one place"},
		{"github.com/twmb/franz-go", []string{"internal/kafka", "producer", "archiver"}, "only these two stand at the topic"},
	}
}

// standardLibraryOnly lists packages that import no module but the project's.
func standardLibraryOnly() []string { return []string{"schemas", "internal/failpoint", "cosmosfake"} }

// mustExist are packages that the test has to have seen: it shall not pass
// because it looked at nothing.
func mustExist() []string {
	return []string{"schemas", "cosmosfake", "internal/config", "internal/service"}
}
