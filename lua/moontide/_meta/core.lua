---@meta moontide.core

--- The C module `moontide.core` (host/bind/) for the language server: its functions and the methods of its objects. Not loaded by
--- anything. spec/meta_spec.lua compares the names with those that the module has.
---
--- All of it is called on the driver's thread. What is misused raises an error; what can go wrong at run time returns nil, a text
--- and the name of its code ("EIO"). Objects keep those alive that they come from. After `engine:close` everything but jobs raises.
---
--- Times are ms since 1970. Operators are descriptors: MessagePack maps as strings, made by moontide.wire.codec. Addresses are numbers
--- that point to blocks.
---@class moontide.core
---@field version string of the library
local core = {}

--- Seconds of a clock that never goes back.
---@return number seconds
function core.monotonic() end

--- The time of day.
---@return integer ms since 1970
function core.wall() end

--- Writes a line to stderr, unless its level is below the one that is set.
---@param level "debug"|"info"|"warn"|"error"
---@param area string the part of the program it concerns
---@param text string
function core.log(level, area, text) end

--- Sets the least level that is written, for the process.
---@param level "debug"|"info"|"warn"|"error"|"off"
function core.logLevel(level) end

--- Where FFI finds the functions of the library.
---@return string? path of the shared object; nil: they are symbols of the program (ffi.C)
function core.library() end

--- Blocks that are alive in the process.
---@return integer blocks
---@return integer bytes
function core.liveBlocks() end

--- Datasets that are alive in the process.
---@return integer rdds
function core.liveRdds() end

--- What the process may use.
---@param root? string folder used instead of "/", for tests
---@return integer processors
---@return integer bytes of memory; 0: not known
function core.machine(root) end

--- Becomes the supervisor of a copy of this process (host/process/supervisor.h). Before any engine.
---@param how { wait: integer, mostWait: integer, restarts: integer, window: integer } times in ms; 0 restarts: no limit
---@return integer? code exit code for the supervisor, when all is over; nil in the copy
function core.supervise(how) end

---@class moontide.core.EngineOptions
---@field workers integer threads, 1 to 1024
---@field packagePath? string package.path of workers
---@field packageCpath? string package.cpath of workers
---@field taskTimeout? integer ms that a task may take; 0 (default): no limit
---@field maxFailures? integer attempts of a task before its job fails (default 1)
---@field memoryLimit? integer bytes of cached data in memory (default: half of what the process may have)
---@field socketMemory? integer bytes of received data of unfinished batches (default: follows the batches)
---@field spillDirectory? string for cached data on disk (default: $TMPDIR, /var/tmp or /tmp)

--- Starts the workers.
---@param options moontide.core.EngineOptions
---@return moontide.core.Engine? engine
---@return string? message
---@return string? code
function core.engine(options) end

---@class moontide.core.Engine
local Engine = {}

--- Ends everything that belongs to the engine.
---@param timeout? integer ms that running tasks get before they are interrupted (default 1000)
---@return true? closed nil: a worker did not return from a C function and was left behind
---@return string? message
---@return string? code
function Engine:close(timeout) end

--- Waits for something to happen and handles it.
---@param timeout? integer ms at most; 0: does not wait; -1 (default): no limit
---@return integer events waiting for `poll`
function Engine:turn(timeout) end

--- The oldest event, as host/driver/event.h lists them: a table with `kind` and, by kind, `job`, `graph`, `node`, `time`, `token` …
---@return table? event nil: there is none
function Engine:poll() end

---@return integer workers
function Engine:workers() end

--- Makes what tasks draw at random repeatable.
---@param seed number
function Engine:seed(seed) end

--- Interrupts all running tasks: they fail.
function Engine:interrupt() end

--- What the workers do.
---@return string[] descriptions of busy workers
function Engine:describe() end

--- The cache in figures: `limit`, `memory`, `peak`, `disk` in bytes; `spilled`, `dropped`: how often.
---@return table<string, number> figures
function Engine:memory() end

--- From now on SIGINT, SIGTERM and SIGHUP are events.
---@return true? watched
---@return string? message
---@return string? code
function Engine:watchSignals() end

--- A dataset of blocks. Takes the references of all addresses, unless it raises.
---@param partitions integer[][] addresses for each partition
---@return moontide.core.RDD rdd
function Engine:blocks(partitions) end

--- A dataset of the lines of files.
---@param splits table[] each {path, offset, length, size?, once?}: a partition, the file's size, its number as an input that can
---only be read once
---@return moontide.core.RDD rdd
function Engine:files(splits) end

--- The partitions of several datasets.
---@param rdds moontide.core.RDD[]
---@return moontide.core.RDD rdd
function Engine:union(rdds) end

---@class moontide.core.GraphOptions
---@field batch integer ms
---@field remember? integer ms that streams keep their datasets at least
---@field clock? "wall"|"manual" default "wall"
---@field start? integer time at which a manual clock begins
---@field concurrent? integer batches that may run at a time (default 1)
---@field skips? boolean batches that fail are skipped

--- A graph of streams and the clock that drives it.
---@param options moontide.core.GraphOptions
---@return moontide.core.Graph graph
function Engine:graph(options) end

---@class moontide.core.ExchangeOptions
---@field route "hash"|"roundrobin"|"single"|"range" how records find their new partition
---@field partitions? integer the new number; may be left out with "single" only
---@field ascending? boolean with "range"; default true
---@field write? string operator at the end of the tasks that write
---@field read? string operator at the beginning of the tasks that read
---@field inPlace? string|true with "hash": operator that replaces the shuffle of co-partitioned records; true: none is needed
---@field partitioner? string with "hash": the function of a custom partitioner
---@field identity? string with `partitioner`: equal for partitioners that are the same

--- What datasets and streams have in common.
---@class moontide.core.Node
local Node = {}

--- What is known of the records.
---@return 0|1|2 arity 1: single values, 2: pairs, 0: not known
function Node:arity() end

--- Names the origin of the records in messages about arity.
---@param label? string
---@param record? string one of them, as text
function Node:madeBy(label, record) end

--- Names the union that this node is, in messages about arity.
---@param name string
function Node:joinedBy(name) end

--- Whether the records of two nodes can't be in one dataset.
---@param other moontide.core.Node
---@return string? why nil: nothing is known against it
function Node:clash(other) end

---@class moontide.core.RDD : moontide.core.Node
local RDD = {}

--- Applies an operator to each partition.
---@param op string
---@param keepsKeys? boolean it does not change keys
---@param indexed? boolean it needs the partition's number
---@return moontide.core.RDD rdd
function RDD:narrow(op, keepsKeys, indexed) end

--- The same records in fewer partitions, without a shuffle.
---@param partitions integer
---@return moontide.core.RDD rdd
function RDD:coalesce(partitions) end

--- Moves records to new partitions.
---@param exchange moontide.core.ExchangeOptions
---@return moontide.core.RDD rdd
function RDD:shuffle(exchange) end

--- Applies an operator to the partitions of the same number of several datasets.
---@param others moontide.core.RDD[] of as many partitions
---@param op string
---@param keepsKeys? boolean
---@return moontide.core.RDD rdd
function RDD:zip(others, op, keepsKeys) end

--- Applies an operator to each partition of one dataset with each of the other.
---@param other moontide.core.RDD
---@param op string
---@return moontide.core.RDD rdd
function RDD:cartesian(other, op) end

--- Caches the dataset when it is computed next.
---@param level integer bits of moontide.base.storage_bits
---@param whole? boolean the level was chosen by the script
function RDD:persist(level, whole) end

--- Removes it from the cache.
function RDD:unpersist() end

---@return integer level 0: it is not cached
---@return boolean computed all its partitions are cached
---@return integer bytes
function RDD:storage() end

--- Its checkpoint, or, with a directory, marks it to be checkpointed.
---@param directory? string
---@param site? string "job.lua:12"
---@return "marked"|"writing"|"done"|nil state nil: it is not marked
---@return string? directory
---@return string? site
function RDD:checkpoint(directory, site) end

--- The datasets to be checkpointed once a job on this one has succeeded.
---@return moontide.core.RDD[]? rdds nil: none
function RDD:checkpointsDue() end

--- Begins to write a checkpoint.
---@return boolean begun false: it is written already, or not marked
function RDD:checkpointBegin() end

--- Writing has failed: it can begin again.
function RDD:checkpointFail() end

--- Writing has ended: the lineage is replaced by the files.
---@param parts moontide.core.RDD of as many partitions: the files' names
---@param read string operator that reads them
function RDD:checkpointEnd(parts, read) end

---@param name? string nil: none
function RDD:setName(name) end

---@return string? name
function RDD:name() end

---@return integer partitions
function RDD:partitions() end

--- The number of partitions that records lie in by their key.
---@return integer partitions 0: they do not
function RDD:keyPartitions() end

---@return string? descriptor of the custom partitioner; nil: records lie by key hash, or not by key
function RDD:partitioner() end

---@return integer id unique in the process
function RDD:id() end

---@return integer records -1: they have to be counted
function RDD:knownRecords() end

--- How many records it has, for listeners: actions read them all the same.
---@param records integer
function RDD:tellRecords(records) end

--- The lineage as text, one line a node.
---@return string text
function RDD:lineage() end

--- Starts a job; an event of kind "job" tells when it has ended.
---@param sink string operator that takes each partition's records
---@param partitions? integer[] numbers, from 0; nil: all
---@param limit? integer records of each partition; 0: all
---@param batchTime? integer of the batch it belongs to; -1: none
---@return moontide.core.Job job
function RDD:job(sink, partitions, limit, batchTime) end

---@class moontide.core.Job
local Job = {}

---@return boolean ended
function Job:ended() end

---@return string? message nil: it has not failed
---@return string? code
function Job:error() end

--- Raises before the job has ended.
---@return integer partitions number of results
function Job:partitions() end

--- Calls `visit` for each block of the results. Addresses are valid within the call. Raises before the job has ended.
---@param visit fun(address: integer, partition: integer) partitions are counted from 1
function Job:each(visit) end

--- Its tasks are interrupted; it ends with an error.
function Job:cancel() end

---@class moontide.core.Graph
local Graph = {}

---@class moontide.core.SocketOptions
---@field host string name or address
---@field port integer 1 to 65535
---@field maxLine? integer bytes of a line at most
---@field reconnect? integer ms before a new attempt
---@field level? integer storage level of received data that is remembered; 0: memory first, then disk

--- A stream of the lines that a TCP server sends.
---@param options moontide.core.SocketOptions
---@return moontide.core.Stream stream
function Graph:socket(options) end

---@class moontide.core.FilesOptions
---@field patterns string[] directories, or patterns without braces
---@field depth? integer levels of directories below them, default 0
---@field all? boolean names that are usually left out count too
---@field arity? integer 1: single values, 2: pairs, 0 (default): not known
---@field label string for messages
---@field created integer ms: files modified later count
---@field memory integer ms: how old a file may be when it is first seen
---@field mostFiles? integer in a batch
---@field mostBytes? integer in a batch

--- A stream of the files that appear in directories: an event of kind "transform" asks for each dataset.
---@param options moontide.core.FilesOptions
---@return moontide.core.Stream stream
function Graph:files(options) end

--- A stream of datasets that are pushed.
---@param options? { oneAtATime: boolean?, default: moontide.core.RDD? }
---@return moontide.core.Stream stream
function Graph:queue(options) end

--- A stream of given datasets, one for each batch.
---@param entries (moontide.core.RDD|false)[] false: no dataset
---@param otherwise? moontide.core.RDD dataset of later batches
---@return moontide.core.Stream stream
function Graph:replay(entries, otherwise) end

---@param streams moontide.core.Stream[]
---@return moontide.core.Stream stream
function Graph:union(streams) end

--- Applies an operator to the partitions of the same number of several streams' datasets.
---@param streams moontide.core.Stream[]
---@param op string
---@param keepsKeys? boolean
---@param exchange? moontide.core.ExchangeOptions applied to each dataset before
---@return moontide.core.Stream stream
function Graph:zip(streams, op, keepsKeys, exchange) end

--- A stream whose datasets a function of the script makes: an event of kind "transform" asks for each.
---@param streams moontide.core.Stream[]
---@return moontide.core.Stream stream
function Graph:transform(streams) end

--- Whether the graph can be started; else, as start says, nil, a message and a code. Changes nothing.
---@return true? fits
function Graph:check() end

--- Starts the sources and the clock. A failure changes nothing.
---@return true? started
---@return string? message
---@return string? code
function Graph:start() end

--- Answers an event of kind "transform". An answer that comes too late is ignored.
---@param token integer of the event
---@param rdd? moontide.core.RDD nil: no dataset
---@param failure? string
function Graph:transformDone(token, rdd, failure) end

--- Answers an event of kind "output". An answer that comes too late is ignored.
---@param token integer of the event
---@param failure? string
function Graph:outputDone(token, failure) end

--- Ends; an event of kind "drained" tells when it has.
---@param graceful? boolean what was received is processed first
function Graph:stop(graceful) end

--- Received data that was not processed, for each input: `node`, `batches`, `records`, `first`, `last`, `waiting`, `begun`, `begunTime`,
--- `begunToken` (host/driver/runner.h).
---@return table[] inputs
function Graph:lost() end

---@return "initialized"|"active"|"stopping"|"stopped" state
function Graph:state() end

--- Moves a manual clock; raises on a wall clock.
---@param ms integer
function Graph:advance(ms) end

---@return integer time of the graph's clock
function Graph:now() end

---@return boolean idle no batch is waiting or running
function Graph:idle() end

---@return integer? time before the first batch; nil: it has not been started
function Graph:zero() end

--- Gives an output a lane: outputs of one lane never run at the same time, and so in order of batch time.
---@param output integer its number, from 0
---@param lane integer from 1
function Graph:lane(output, lane) end

--- Whether there are events of kind "listener".
---@param wanted boolean
function Graph:listen(wanted) end

--- Sets how long streams keep their datasets at least; raises once started.
---@param ms integer
function Graph:remember(ms) end

--- Whether there is a directory for checkpoints.
---@param possible boolean
function Graph:checkpointing(possible) end

--- The next step of a slice that `stream:slice` has begun.
---@return "asks"|"done"|nil what "asks": a dataset has to be made by a transform function
---@return integer|moontide.core.RDD[]|string more "asks": id of the stream; "done": the datasets; nil: message
---@return moontide.core.RDD[]|string|nil rest "asks": the parents' datasets; nil: code
---@return integer? time "asks": of the dataset
function Graph:sliceStep() end

--- Gives the dataset that `sliceStep` asks for.
---@param rdd moontide.core.RDD
function Graph:sliceAnswer(rdd) end

--- Skips what has failed, in place of an answer.
---@return boolean skipped false: the graph does not skip failures
function Graph:sliceSkip() end

--- Ends the slice.
function Graph:sliceEnd() end

--- Ends the graph at once; its streams raise from now on.
function Graph:close() end

---@class moontide.core.Stream : moontide.core.Node
local Stream = {}

--- Applies an operator to each partition.
---@param op string
---@param keepsKeys? boolean it does not change keys
---@param indexed? boolean it needs the partition's number
---@return moontide.core.Stream stream
function Stream:narrow(op, keepsKeys, indexed) end

--- Moves records to new partitions.
---@param exchange moontide.core.ExchangeOptions
---@return moontide.core.Stream stream
function Stream:shuffle(exchange) end

--- The union of the last datasets.
---@param length integer ms
---@param slide integer ms
---@param single? boolean a window of one batch is that batch's dataset
---@return moontide.core.Stream stream
function Stream:window(length, slide, single) end

--- Windows of an associative function.
---@param length integer ms
---@param slide integer ms
---@param partitions integer
---@param op string
---@param merges? "none"|"zip"|"narrow" how partial results are merged; default "none"
---@return moontide.core.Stream stream
function Stream:mergeWindow(length, slide, partitions, op, merges) end

--- Windows of a function that has an inverse.
---@param length integer ms
---@param slide integer ms
---@param partitions integer
---@param op string makes a window of the one before it
---@param anew string makes it of all its batches
---@return moontide.core.Stream stream
function Stream:inverseWindow(length, slide, partitions, op, anew) end

--- A stream that shows a part of what this one keeps.
---@param op string
---@param keepsKeys? boolean
---@return moontide.core.Stream stream
function Stream:view(op, keepsKeys) end

--- Keyed state (updateStateByKey).
---@param partitions integer
---@param op string
---@param initial? moontide.core.RDD
---@return moontide.core.Stream stream
function Stream:state(partitions, op, initial) end

--- Keyed state (mapWithState).
---@param partitions integer
---@param op string
---@param initial? moontide.core.RDD
---@return moontide.core.Stream stream
function Stream:mapState(partitions, op, initial) end

---@return integer id streams are counted from 0
function Stream:id() end

--- Names the stream, and the one behind it that keeps the state it shows.
---@param name string not empty
---@param keeper? moontide.core.Stream
---@return true? named
---@return string? message
---@return string? code
function Stream:named(name, keeper) end

---@return string? name
function Stream:name() end

---@return moontide.core.Graph graph
function Stream:graph() end

---@return integer ms between its datasets
function Stream:slide() end

---@return integer level of storage; 0: none
function Stream:level() end

--- Caches its datasets.
---@param level integer bits of moontide.base.storage_bits
---@param whole? boolean the level was chosen by the script
function Stream:persist(level, whole) end

--- Registers an output operation.
---@return integer number of the output, from 0
function Stream:output() end

--- Adds a dataset to a queue.
---@param rdd moontide.core.RDD
function Stream:push(rdd) end

--- Looks through the directories of a file stream for a batch, if that was not done yet.
---@param time integer
---@return integer? candidates new files, none of them accepted; nil: the batch has its files already
function Stream:look(time) end

---@param index integer 1 to the number of candidates
---@return string path
function Stream:candidate(index) end

--- The batch, or a later one, takes this candidate.
---@param index integer
function Stream:accept(index) end

--- The batch takes what waits and what was accepted, up to its limits.
---@param time integer
function Stream:settle(time) end

---@param time integer
---@return { [1]: string, [2]: number }[]? files path and size; nil: the batch is not settled
function Stream:files(time) end

---@return integer asked how many files of a file stream the system was asked for (stat) in all looks
function Stream:filesAsked() end

--- What a checkpoint keeps of a file stream, as plain data; with a time, of the batches that one alone. With a table it is set: its
--- batches are added to those that there are, and read the same files again. A file is
--- { path, size, mtime in seconds, its nanoseconds, inode / 2^32, the rest of it }.
---@param state? integer|{ created: number, batches: { time: number, files: table[] }[], waiting: table[] }
---@return { created: number, batches: { time: number, files: table[] }[], waiting: table[] }? state
function Stream:fileState(state) end

---@return string kind "queue", "narrow" …
function Stream:kind() end

---@return integer ms that it keeps its datasets, known once the graph has begun
function Stream:remember() end

---@param time integer
---@return moontide.core.RDD? rdd nil: it has none in memory
function Stream:dataset(time) end

--- The interval of checkpoints, or sets it.
---@param interval? integer ms
---@return integer? ms nil: none is set
function Stream:checkpoint(interval) end

--- Begins to generate the datasets of an interval; `graph:sliceStep` follows.
---@param from integer
---@param to integer
---@return true? begun
---@return string? message
---@return string? code
function Stream:slice(from, to) end

return core
