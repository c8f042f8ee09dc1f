-- Looking for silent places asks which compounds are inhabited: without this each look read every building of the city.
CREATE INDEX building_compound_idx ON building (compound_id);
