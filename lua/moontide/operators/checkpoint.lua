--- Checkpoints of datasets: checkpoint() marks one; after the first job that reaches it, it is written to files, and its lineage
--- is cut (host/rdd/checkpoint.c). The files are object files, which workers write and the driver puts in place when all are
--- complete (save.lua); size and checksum of each stay with the dataset, so that it notices when they are damaged.

local actions = require "moontide.operators.actions"
local check = require "moontide.base.check"
local directories = require "moontide.driver.checkpoint"
local duration = require "moontide.base.duration"
local errors = require "moontide.base.errors"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"
local parts_writer = require "moontide.operators.parts"
local saved = require "moontide.worker.save"

local begin = handles.begin

---@class moontide.RDD
local RDD = {}

---@class moontide.DStream
local DStream = {}

---@class moontide.Context
local Context = {}

-- The function of the operator that reads; it runs in the workers.
local function reader(site)
    return function(it)
        return require("moontide.worker.sequence").read_checkpoint(it, site)
    end
end

-- Writes all partitions and returns a record {path, size, hash, hash} for each. Raises.
local function write_parts(scope, node, directory, site)
    local parts = parts_writer.write(scope, node:partitions(), directory, {
        name = "checkpoint", site = site,
        write = function(saving)
            local writer = node:narrow(operators.descriptor("saveCheckpoint", "checkpoint", site,
                { dir = saving.temporary, sync = saving.sync, compress = false }), false)
            return actions.collect(scope, writer, nil, "checkpoint", site, true)
        end,
    })
    for index, seal in ipairs(parts) do
        parts[index] = { saved.part_path(directory, index - 1), seal[1], seal[2], seal[3] }
    end
    return parts
end

local function write(scope, node, directory, site)
    local parts = write_parts(scope, node, directory, site)
    local read = operators.descriptor("mapPartitions", "checkpoint", site, { fn = operators.own("checkpoint", reader(site)) })
    node:checkpointEnd(scope.from_array("checkpoint", parts, #parts, 1).node, read)
end

-- What went wrong, as an error of the action whose job came before.
local function failed(raised, node, directory, site)
    if errors.is(raised) and raised.code == "ECANCELLED" then
        return raised
    end
    local code = errors.is(raised) and raised.code or "ESTATE"
    return errors.new(code, ("checkpoint (%s): the job succeeded, but dataset #%d could not be written to %s: %s\n"
        .. "  it is computed from its parents as before; call checkpoint() again to have it tried again"):format(
        site, node:id(), directory, errors.text(raised)))
end

-- Writes the datasets of a list (what node:checkpointsDue() gave before the job), but for those that another action is writing.
-- The first failure is raised.
local function write_all(scope, nodes)
    for _, node in ipairs(nodes) do
        if node:checkpointBegin() then
            local _, directory, site = node:checkpoint()
            local ok, raised = pcall(write, scope, node, directory, site)
            if not ok then
                -- The engine may have been closed meanwhile, and the node is of no use then.
                local open, described = pcall(failed, raised, node, directory, site)
                pcall(node.checkpointFail, node)
                error(open and described or raised, 0)
            end
        end
    end
end

--- Marks the dataset to be written to files. After the first action that needs it, it is computed once more (persist it before,
--- then it is not) and written to the directory that sc:setCheckpointDir has named; then its lineage is cut: it, and what was made
--- from it, reads the files, and nothing of what it came from is kept.
---
---     sc:setCheckpointDir("checkpoints")
---     local parsed = lines:map(parse):persist():checkpoint()
---     parsed:count()           -- parses, and writes the files
---     parsed:isCheckpointed()  --> true
---
--- No directory is set: an error. When the files cannot be written, the action raises that, though its own job has succeeded;
--- nothing is left of them, and the dataset stays what it was. A file that is missing or damaged later is an error of the action
--- that reads it. The files stay when the context is stopped. Where an action has used the dataset already, the next one counts
--- (in Spark, none does any more). As in Spark 0.9.
---@return moontide.RDD self
function RDD:checkpoint()
    local scope = operators.begin(self, "checkpoint")
    local base = scope.state.checkpoints
    if not base then
        check.fail("'checkpoint': there is no directory for checkpoints: call sc:setCheckpointDir(directory) before")
    end
    self.node:checkpoint(("%s/rdd-%d"):format(base, self.node:id()), check.site())
    scope.state.write_checkpoints = write_all -- actions ask for it after a job
    return self
end

--- Whether the dataset has been written to files and is read from them: see checkpoint().
---
---     lines:isCheckpointed()  --> false
---
--- As in Spark 0.9.
---@return boolean
function RDD:isCheckpointed()
    begin(self, handles.RDD, "isCheckpointed")
    return self.node:checkpoint() == "done"
end

--- The directory with the files of the dataset, which sc:objectFile reads too.
---
---     sc:setCheckpointDir("checkpoints")
---     words:checkpoint():count()
---     sc:objectFile(words:getCheckpointFile()):count()  --> 3
---
--- As in Spark 0.9.
---@return string? directory nil when it has not been written (yet)
function RDD:getCheckpointFile()
    begin(self, handles.RDD, "getCheckpointFile")
    local state, directory = self.node:checkpoint()
    return state == "done" and directory or nil
end

--- Sets how often the stream's datasets go into the checkpoint, and has them kept in memory as persist() does. Streams with
--- state have an interval anyhow: the smallest multiple of their slide duration that is 10 s or more, mapWithState ten
--- slides. Needs ssc:checkpoint(directory); before start.
---
---     counts:checkpoint("20s")
---
--- In this release checkpoints are not written yet, but datasets are remembered for two intervals already.
--- Guide: "RDD Checkpointing".
---@param interval number|string|nil duration, a multiple of the stream's slide duration, which start() checks; nil takes it away
---again, and streams with state have the usual one
---@return moontide.DStream self
function DStream:checkpoint(interval)
    local scope = operators.begin(self, "checkpoint")
    local node = scope.kept[self.node:id()] or self.node
    node:checkpoint(interval == nil and 0 or duration.argument(1, "checkpoint", interval))
    if not scope.labels[node:id()] then
        scope.label(node, "the stream of checkpoint", check.site())
    end
    return self
end

--- Sets the directory that datasets are written to by RDD:checkpoint. It is made if it is not there; one that cannot be made or
--- written to is an error. Each context has a directory of its own in it. ssc:checkpoint(directory) does this too.
---
---     sc:setCheckpointDir("checkpoints")
---
--- May be called again: datasets that are marked later go to the new one. As in Spark 0.9.
---@param directory string
function Context:setCheckpointDir(directory)
    begin(self, handles.Context, "setCheckpointDir")
    check.text(1, "setCheckpointDir", directory, true)
    local usable, reason = directories.prepare(directory)
    if not usable then
        check.fail("'setCheckpointDir': the directory '%s' cannot be used: %s", directory, reason)
    end
    directories.use(self.state, directory)
end

--- Where the context writes datasets: its own directory in the one that setCheckpointDir has named.
---
---     sc:setCheckpointDir("checkpoints")
---     sc:getCheckpointDir()  -- "checkpoints/" and a name of its own
---
--- It is there once a dataset was written. As in Spark 0.9.
---@return string? directory nil when none is set
function Context:getCheckpointDir()
    begin(self, handles.Context, "getCheckpointDir")
    return self.state.checkpoints
end

handles.add { RDD = RDD, DStream = DStream, Context = Context }
