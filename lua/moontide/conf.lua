--- The settings, for scripts that name the module: moontide.base.conf.
return require "moontide.base.conf"
