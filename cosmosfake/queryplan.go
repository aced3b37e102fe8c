package cosmosfake

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/cosmos-almanac/almanac/cosmosfake/internal/sql"
)

// queryLimits is the account's queryEngineConfiguration, as clients parse it.
const queryLimits = `{"maxSqlQueryInputLength":524288,"maxJoinsPerSqlQuery":10,"maxLogicalAndPerSqlQuery":2000,"maxLogicalOrPerSqlQuery":2000,` +
	`"maxUdfRefPerSqlQuery":10,"maxInExpressionItemsCount":16000,"queryMaxInMemorySortDocumentCount":500,` +
	`"maxQueryRequestTimeoutFraction":0.9,"sqlAllowNonFiniteNumbers":false,"sqlAllowAggregateFunctions":true,` +
	`"sqlAllowSubQuery":true,"sqlAllowScalarSubQuery":true,"allowNewKeywords":true,"sqlAllowLike":true,` +
	`"sqlAllowGroupByClause":true,"maxSpatialQueryCells":12,"spatialMaxGeometryPointCount":256,"sqlDisableQueryILOptimization":false,` +
	`"sqlDisableOptimizationFlags":0,"sqlAllowTop":true,"enableSpatialIndexing":true}`

// queryPlan tells a client how to put the rows of all ranges together (PartitionedQueryExecutionInfo, version 2, as the
// SDKs of .NET, Java, JavaScript and Python read it). All ranges are to be asked: the gateway leaves out those that the
// filter excludes, which is only faster. Of a query without FROM one range is enough. A client names what it supports;
// "" is everything.
func queryPlan(q *sql.Statement, supported string) ([]byte, error) {
	info, err := q.Plan()
	if err != nil {
		return nil, err
	}
	names := strings.Split(strings.ReplaceAll(supported, " ", ""), ",")
	for _, feature := range info.Features {
		if supported != "" && !slices.Contains(names, feature) {
			return nil, &sql.Error{Message: "Query contains 1 or more unsupported features. Upgrade your SDK to a version that does " +
				"support the requested features: Query contained " + feature + ", which the calling client does not support."}
		}
	}
	end := "FF"
	if !q.ReadsDocuments() {
		end = "0" // below which no hash is
	}
	return json.Marshal(map[string]any{
		"partitionedQueryExecutionInfoVersion": 2,
		"queryInfo":                            info,
		"queryRanges": []any{map[string]any{
			"min": "", "max": end, "isMinInclusive": true, "isMaxInclusive": false,
		}},
	})
}

// answerConstant answers a query without FROM, which has one row wherever it is asked.
func answerConstant(a *answer, r *http.Request, c *container, q *sql.Statement) *Error {
	rows, err := q.Run(nil)
	if err != nil {
		return invalidQuery(err)
	}
	found := results{rows: rows}
	found.answer(a, r, c)
	return nil
}
