--- saveTo: the output of a stream into a sink of the script, or of a module. What becomes of a sink is in driver/save_to.lua.

local check = require "moontide.base.check"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"
local save_to = require "moontide.driver.save_to"

---@class moontide.DStream
local DStream = {}

--- Something that stores batches for `stream:saveTo(sink)`, each of them once. It keeps, beside the records, under the name
--- that open() is given, the time of the last batch that it has stored, and stores both in one step: in one transaction of a
--- database, or in a file that is renamed into place.
---
--- Every method returns true (lastCommitted a time), or nil and why it failed: a text, or an error value as an action raises
--- it. Raising an error is the same. The methods run in the script's state and may call actions of datasets.
---
--- For outputs that run at the same time (setting `concurrentJobs`): batches of one sink are written one at a time, and so
--- are those of sinks of the same `resource`.
---@class moontide.Sink
---@field open fun(self, name: string): true?, any gets ready: connects, makes the tables. Called by start(), and again if that start()
---  failed; `name` is what batches are stored under, unique in the job
---@field lastCommitted fun(self): number?, any the time of the last batch that is stored, ms; nil for none. Called after open(), and again
---  after a write that failed
---@field write fun(self, rdd: moontide.RDD, time: number): true?, any stores the records of a batch and its time, both or neither. Batches
---  come in order of time; one that lastCommitted() tells of does not come again. A stop may break a write off while it waits for an
---  action: then close() follows
---@field close fun(self): true?, any lets go of everything. Called once after an open() that succeeded, when the streams have stopped, also
---  after a failure
---@field resource any a value, say the path of the database, that other sinks may have, too; default the sink itself

local METHODS = { "open", "lastCommitted", "write", "close" }

local function check_sink(sink)
    if check.type_name(sink) ~= "table" then
        check.bad_argument(1, "saveTo", "sink", sink)
    end
    for _, method in ipairs(METHODS) do
        if type(sink[method]) ~= "function" then
            check.fail("bad argument #1 to 'saveTo' (a sink has the methods %s; its '%s' is %s)", table.concat(METHODS, ", "), method,
                sink[method] == nil and "missing" or "a " .. check.type_name(sink[method]))
        end
    end
end

-- The name that was chosen, or else one by position.
local function name_of(scope, stream, options)
    if options ~= nil and check.type_name(options) ~= "table" then
        check.bad_argument(2, "saveTo", "table of options", options)
    end
    check.options("saveTo", options or {}, { "name" })
    local name = options and options.name
    local problem = name ~= nil and check.not_name(name)
    if problem then
        check.fail("saveTo: option 'name': %s", problem)
    end
    name = name or scope.names[stream.number]
    return name or ("output %d"):format(#scope.life.outputs_in_order + 1), name == nil
end

-- Sinks of one resource share a lane, in which one output runs at a time.
local function lane_of(life, sink)
    local resource = sink.resource == nil and sink or sink.resource
    for _, output in ipairs(life.sinks) do
        if output.resource == resource then
            return output.lane, resource
        end
    end
    return #life.sinks + 1, resource
end

--- Output: has a sink store each batch, empty ones too, in order of time and each of them once. At start() the sink says
--- what it has; batches that it has already, from a run before, are passed over. A sink is a table with the methods
--- of moontide.Sink; `require "moontide.sqlite"` makes one for SQLite.
---
---     local sqlite = require "moontide.sqlite"
---     words:countByValue():saveTo(sqlite.sink{ path = "words.db", table = "counts", columns = { "word", "n" } }, { name = "counts" })
---
--- The sink stores batches under the name of the output: keep it, and the place of the sink, from run to run. (A position
--- changes when outputs are added before it.) A sink that
--- serves another output, a name that another saveTo of the context has, and a table without one of the methods
--- are errors. A failing write fails the batch. Not in Spark.
---@param sink moontide.Sink
---@param options? { name: string? } default the name that the stream was given (`named`), else "output 2" for the second output
function DStream:saveTo(sink, options)
    local scope = operators.begin(self, "saveTo")
    check_sink(sink)
    local life, site = scope.life, check.site()
    local name, by_position = name_of(scope, self, options)
    for _, other in ipairs(life.sinks) do
        if other.sink == sink then
            check.fail("saveTo: '%s' (%s) writes to this sink already: make a sink for each output", other.sink_name, other.site)
        elseif other.sink_name == name then
            check.fail("saveTo: the name '%s' is taken by saveTo (%s): give one of the two another one, { name = … }", name, other.site)
        end
    end
    local lane, resource = lane_of(life, sink)
    local output = {
        sink = sink, stream = self.number, sink_name = name, by_position = by_position, site = site, lane = lane,
        resource = resource, is_open = false, told = false,
    }
    local registered = scope.output(self, "saveTo", site, function(rdd, time)
        save_to.write(output, rdd, time)
    end)
    life.graph:lane(registered.number, lane)
    table.insert(life.sinks, output)
end

handles.add { DStream = DStream }
