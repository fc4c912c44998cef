--- The storage levels, for scripts that name the module: moontide.base.storage_level.
return require "moontide.base.storage_level"
