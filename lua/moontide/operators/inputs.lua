--- The inputs of a StreamingContext: sockets, and queues of datasets that the script fills.

local check = require "moontide.base.check"
local conf = require "moontide.base.conf"
local errors = require "moontide.base.errors"
local handles = require "moontide.operators.handles"
local lifecycle = require "moontide.driver.lifecycle"
local listener = require "moontide.driver.listener"
local pack = require "moontide.driver.pack"
local storage_bits = require "moontide.wire.storage_bits"
local storage_level = require "moontide.base.storage_level"

---@class moontide.StreamingContext
local StreamingContext = {}

---@class moontide.DStream
local DStream = {}

--- Lines received from a TCP server, to which the context connects as a client. A refused or lost connection is tried
--- again after two seconds (setting `socket.reconnect`), for ever.
---
---     local lines = ssc:socketTextStream("localhost", 9999)
---
--- Lines end with \n, \r\n or \r. A line longer than the setting `socket.maxLine` is reported and left out.
--- Guide: "Input Sources".
---@param host string name or address
---@param port integer 1…65535
---@param storageLevel? moontide.StorageLevel of what windows keep of it after its batch, default MEMORY_AND_DISK_SER_2; it goes
---   to disk, and is never dropped, when memory.limit is reached. Data of unfinished batches stays in memory, and sockets
---   are read more slowly when batches fall behind (socket.memory)
---@return moontide.DStream
function StreamingContext:socketTextStream(host, port, storageLevel)
    local scope = handles.begin(self, handles.StreamingContext, "socketTextStream")
    check.text(1, "socketTextStream", host, true)
    check.integer(2, "socketTextStream", port, 1, 65535)
    if storageLevel ~= nil then
        check.handle(3, "socketTextStream", storageLevel, storage_level.class)
        storage_level.note(storageLevel)
    end
    local settings = self.life.settings
    local node, reason = self.life.graph:socket({
        host = host, port = port, maxLine = conf.get(settings, "socket.maxLine"),
        reconnect = conf.get(settings, "socket.reconnect"),
        level = storageLevel and storage_bits.of(storageLevel),
    })
    if not node then
        check.fail("socketTextStream: %s", reason)
    end
    node:madeBy(("socketTextStream (%s)"):format(check.site()))
    listener.source(self.life, node:id(), ("socketTextStream(%s:%d)"):format(host, port))
    return scope.wrap(node)
end

-- The core's dataset of an RDD of this context, or of an array.
local function dataset_node(self, what, value)
    if getmetatable(value) == handles.RDD then
        if value.scope ~= self.sc.scope then
            check.fail("'%s': the RDD belongs to another Context", what)
        end
        return value.node
    end
    local reason = check.not_array(value)
    if reason then
        check.fail("'%s': an array of records or an RDD expected (%s)", what, reason)
    end
    local state = self.sc.state
    local node = state.engine:blocks(pack.partitions(what, value, state.parallelism, 1))
    pack.describe(node, what, value, 1)
    return node
end

-- What the list has now goes in at once; what the script appends later is seen before each turn of the loop.
local function add_queue(self, node, list)
    local life, site, taken = self.life, check.site(), 0
    local queue = { id = node:id() }

    function queue.push(what, value)
        node:push(dataset_node(self, what, value))
    end

    function queue.sync()
        while list[taken + 1] ~= nil do
            taken = taken + 1
            local ok, message = pcall(queue.push, "queueStream", list[taken])
            if not ok then
                local text = ("queueStream (%s): item %d of the list: %s"):format(site, taken, message)
                lifecycle.fail(life, errors.new(errors.is(message) and message.code or "EINVAL", text, { time = life.graph:now() }))
            end
        end
    end

    for index = 1, #list do
        queue.push("queueStream", list[index])
        taken = index
    end
    table.insert(life.queues, queue)
end

--- A stream of datasets that the script provides, for tests and for trying things out.
---
---     local numbers = ssc:queueStream({ { 1, 2, 3 }, { 4, 5 } })
---     numbers:push({ 6 })
---
--- Datasets are arrays of single records, or RDDs (sc:parallelizePairs for pairs). The list may be appended to later; what
--- is in it at the call is taken at once. As in Spark 0.9.
---@param queue (any[]|moontide.RDD)[] datasets, the first one for the first batch
---@param oneAtATime? boolean true (default): one dataset for each batch; false: all that are there in one batch
---@param default? any[]|moontide.RDD the dataset when nothing is queued, default an empty one
---@return moontide.DStream
function StreamingContext:queueStream(queue, oneAtATime, default)
    local scope = handles.begin(self, handles.StreamingContext, "queueStream")
    check.array(1, "queueStream", queue)
    oneAtATime = check.boolean(2, "queueStream", oneAtATime, true)
    local default_node = default ~= nil and dataset_node(self, "queueStream", default)
        or self.sc.state.engine:blocks({ {} })
    local node = self.life.graph:queue({ oneAtATime = oneAtATime, default = default_node })
    node:joinedBy(("queueStream (%s)"):format(check.site()))
    listener.source(self.life, node:id(), "queueStream")
    add_queue(self, node, queue)
    return scope.wrap(node)
end

--- Adds a dataset to a stream made by ssc:queueStream; also while the stream runs.
---
---     local numbers = ssc:queueStream({})
---     numbers:push({ 1, 2, 3 })
---
--- An error on streams that queueStream did not make, and when the context is stopped. Not in Spark.
---@param dataset any[]|moontide.RDD an array of single records, or an RDD of the same Context
function DStream:push(dataset)
    check.self(self, handles.DStream, "push")
    local queue
    for _, other in ipairs(self.scope.life.queues) do
        queue = other.id == self.number and other or queue
    end
    if not queue then
        check.fail("'push': only streams made by queueStream take datasets")
    end
    if self.scope.life.state == "STOPPED" then
        check.fail("'push': the streaming context is stopped (stop was called)")
    end
    queue.push("push", dataset)
end

handles.add { StreamingContext = StreamingContext, DStream = DStream }
