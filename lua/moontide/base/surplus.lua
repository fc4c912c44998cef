--- Arguments that a method does not take. Most of those that scripts pass mean something in Spark or PySpark, so dropping one would
--- change what the script does: each is refused, with what to write instead. Called by check.class for every public class.

local surplus = {}

local PARTITIONER = "in Spark what to partition by; give moontide.Partitioner(n, f) in place of the number of partitions"
local PRESERVES = "in PySpark preservesPartitioning; mapValues keeps the partitioning, and mapPartitions(f, true) promises it"
local ORDERING = "in Spark an ordering; numbers come before text before arrays"
local CODEC = "in Spark a compression codec; write { compress = \"gz\" } as the last argument of saveAsTextFile and saveAsTextFiles"
local BATCHING = "in PySpark how many records are pickled together; Moontide has blocks"
local SERIALIZER = "in Spark a serializer; Moontide has one"
local UNICODE = "in PySpark whether text is decoded; a line is a string of bytes here"
local TIMEOUT = "in Spark a time limit; there is none here"
local SEED = "in Spark a seed; set random.seed"
local PER_RECORD = "Moontide has no options here; to pass over batches that fail, set onError = \"skip\""

-- What Spark means by an argument, by method: the argument's number → the meaning.
local MEANINGS = {
    map = { [2] = PRESERVES }, filter = { [2] = PRESERVES }, flatMap = { [2] = PRESERVES }, keyBy = { [2] = PRESERVES },
    glom = {},
    reduceByKey = { [3] = PARTITIONER }, groupByKey = { [2] = PARTITIONER },
    combineByKey = { [5] = PARTITIONER, [6] = SERIALIZER }, foldByKey = { [4] = PARTITIONER },
    aggregateByKey = { [5] = PARTITIONER }, join = { [3] = PARTITIONER }, leftOuterJoin = { [3] = PARTITIONER },
    rightOuterJoin = { [3] = PARTITIONER }, fullOuterJoin = { [3] = PARTITIONER }, subtractByKey = { [3] = PARTITIONER },
    subtract = { [3] = ORDERING }, intersection = { [3] = ORDERING }, groupBy = { [3] = PARTITIONER },
    partitionBy = { [3] = PARTITIONER }, reduceByKeyLocally = {}, groupByKeyAndWindow = { [4] = PARTITIONER },
    updateStateByKey = { [3] = "in Spark the initial state; write { partitions = n, initial = rdd }",
        [4] = "in Spark the initial state; write { partitions = n, initial = rdd }" },
    countByWindow = { [3] = "in PySpark a number of partitions; the counts of a window are one number" },
    countByValueAndWindow = { [4] = ORDERING }, countByValue = { [2] = ORDERING }, distinct = { [2] = ORDERING },
    repartition = { [2] = ORDERING }, coalesce = { [3] = "in Spark a partition coalescer; repartition(n) spreads evenly" },
    sortBy = { [4] = ORDERING }, sortByKey = { [4] = ORDERING },
    repartitionAndSortWithinPartitions = { [4] = PARTITIONER },
    top = { [3] = ORDERING }, takeOrdered = { [3] = ORDERING }, max = { [2] = ORDERING }, min = { [2] = ORDERING },
    pipe = { [3] = "in Spark printPipeContext; send those lines from mapPartitions before pipe",
        [4] = "in Spark printRDDElement; write map(f) before pipe" },
    saveAsTextFile = { [3] = CODEC }, saveAsTextFiles = { [4] = CODEC },
    saveAsObjectFile = { [3] = BATCHING }, objectFile = { [3] = BATCHING }, textFile = { [3] = UNICODE },
    wholeTextFiles = { [3] = UNICODE }, parallelize = { [3] = BATCHING }, parallelizePairs = { [3] = BATCHING },
    sequenceFile = { [3] = "in Spark the classes of key and value; they stand in the file" },
    binaryRecords = { [3] = "in Spark a Hadoop configuration; there is none here" },
    socketTextStream = { [4] = "in Spark nothing; settings of sockets are socket.… (moontide help conf)" },
    count = { [1] = TIMEOUT .. "; see countApprox" }, zipWithUniqueId = {}, treeReduce = {}, treeAggregate = {},
    aggregate = { [4] = "in Spark nothing; treeAggregate takes a depth" }, takeSample = {}, sample = {}, randomSplit = {},
    histogram = { [2] = "in Spark evenBuckets; evenly spaced buckets are found by themselves" },
    stats = {}, sampleByKey = { [4] = SEED },
}

local function meaning_of(name, index, value)
    local meaning = MEANINGS[name] and MEANINGS[name][index]
    if type(value) == "table" and getmetatable(value) == nil and next(value) ~= nil and type(next(value)) == "string" then
        return PER_RECORD
    end
    return meaning or "Spark has no such argument either"
end

--- Raises, at the caller's line, for the first argument beyond those of a method that is not nil.
---@param check table moontide.base.check
---@param class string "RDD"
---@param name string method
---@param most integer how many arguments it takes, without the receiver
---@param ... any all its arguments, without the receiver
function surplus.refuse(check, class, name, most, ...)
    for index = most + 1, select("#", ...) do
        local value = (select(index, ...))
        if value ~= nil then
            check.fail("bad argument #%d to '%s' (%s:%s takes %s; got %s: %s)", index, name, class, name,
                most == 0 and "no argument" or most == 1 and "1 argument" or most .. " arguments", check.type_name(value),
                meaning_of(name, index, value))
        end
    end
end

return surplus
