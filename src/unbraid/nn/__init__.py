"""Parts that know no model: codecs per kind of observation, likelihoods, recurrent nets, masks."""
