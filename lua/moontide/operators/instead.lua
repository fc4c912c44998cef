--- Names of Spark and PySpark that a class does not have: what to use instead. The error for such a name says so; otherwise it would
--- propose a name that looks alike.

local instead = {}

instead.RDD = {
    localCheckpoint = "use checkpoint() to cut the lineage, persist() to keep records in memory",
    partitions = "use getNumPartitions() for their number, glom() for their records",
    saveAsNewAPIHadoopFile = "use saveAsHadoopFile, which writes the same files",
    saveAsHadoopDataset = "use saveAsHadoopFile, which writes the same files",
    saveAsNewAPIHadoopDataset = "use saveAsHadoopFile, which writes the same files",
    saveAsSequenceFile = "use saveAsHadoopFile, which writes SequenceFiles of pairs (saveAsObjectFile for any records)",
    saveAsPickleFile = "use saveAsObjectFile, which keeps any records; sc:objectFile reads them",
    mapPartitionsWithSplit = "it is called mapPartitionsWithIndex",
    mapWith = "use mapPartitionsWithIndex",
    flatMapWith = "use mapPartitionsWithIndex",
    filterWith = "use mapPartitionsWithIndex",
    foreachWith = "use mapPartitionsWithIndex, or foreachPartition",
    countApproxDistinct = "use distinct():count(), which is exact",
    countApproxDistinctByKey = "use distinct():countByKey(), which is exact",
    countByValueApprox = "use countByValue(), which is exact",
    filterByRange = "use filter(function(key) return key >= low and key <= high end)",
    meanApprox = "use mean()", sumApprox = "use sum()",
    toArray = "it is called collect", collectPartitions = "use glom():collect()",
    splits = "use getNumPartitions()", getPartitions = "use getNumPartitions()",
    mapToPair = "use map with a function that returns key and value",
    flatMapToPair = "use flatMap with an iterator of keys and values",
    iterator = "use toLocalIterator()", toDF = "there are no data frames; a record may be any table",
    sparkContext = "use the field sc", countAsync = "use count(); an action in foreachRDD does not hold up the clock",
    collectAsync = "use collect(); an action in foreachRDD does not hold up the clock",
    takeAsync = "use take(); an action in foreachRDD does not hold up the clock",
    foreachAsync = "use foreach(); an action in foreachRDD does not hold up the clock",
}

instead.Context = {
    runJob = "use the actions of an RDD",
    makeRDD = "it is called parallelize",
    checkpointFile = "checkpoints of datasets are read by the dataset that wrote them; saveAsObjectFile and objectFile keep records for "
        .. "other programs",
    binaryFiles = "use binaryRecords for records of one size, wholeTextFiles for whole files (a text may have any bytes)",
    pickleFile = "use objectFile, which reads what saveAsObjectFile wrote",
    hadoopFile = "use sequenceFile or textFile", newAPIHadoopFile = "use sequenceFile or textFile",
    hadoopRDD = "use sequenceFile or textFile", newAPIHadoopRDD = "use sequenceFile or textFile",
    addFile = "workers see the files that the script sees: open the path in the function",
    addJar = "a function may require what the script may", addPyFile = "a function may require what the script may",
    longAccumulator = "use accumulator(0)", doubleAccumulator = "use accumulator(0)",
    collectionAccumulator = "use accumulator with a merge function", accumulable = "use accumulator with a merge function",
}

instead.DStream = {
    saveAsNewAPIHadoopFiles = "use saveAsHadoopFiles, which writes the same files",
    saveAsSequenceFiles = "use saveAsHadoopFiles, which writes SequenceFiles of pairs",
    saveAsPickleFiles = "use saveAsObjectFiles",
    foreach = "use foreachRDD", pprint = "use print", compute = "use slice", toPairDStreamFunctions = "pairs need no conversion",
    mapToPair = "use map with a function that returns key and value",
    flatMapToPair = "use flatMap with an iterator of keys and values",
}

-- These do not exist yet.
local RECEIVERS = "custom receivers come later"

instead.StreamingContext = {
    rawSocketStream = "other sources come later", socketStream = "other sources come later",
    receiverStream = RECEIVERS, networkStream = RECEIVERS, actorStream = RECEIVERS,
    sparkContext = "use the field sc",
}

--- What to use instead of a name.
---@param class string that does not have it
---@param name string
---@param datasets table<string, function> the methods of datasets
---@return string? cure nil: nothing is known of the name
function instead.of(class, name, datasets)
    local cure = instead[class][name]
    if not cure and class == "DStream" and datasets[name] then
        cure = ("datasets have it: stream:transform(function(rdd) return rdd:%s(…) end), or in foreachRDD if it is an action")
            :format(name)
    end
    return cure
end

return instead
