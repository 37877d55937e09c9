/// Words that may stand before a parenthesis in a statement that still only reads.
///
/// Intuition: what a function does cannot be seen from its call, so a call counts as a read only where its name is
/// here. A name that is missing costs a trip to the primary; a function of the application that hides behind a name of
/// PostgreSQL's (by other argument types, in a schema of the search path) is caught by the standby, which refuses to
/// write.
///
/// Source: `pg_proc` of PostgreSQL 15 where no function of the name is volatile, without what types and indexes are
/// made of and what speaks about one server; and, volatile only because each call gives another value, `random`,
/// `clock_timestamp`, `timeofday`, `gen_random_uuid`, `pg_sleep…`, sizes and partitions.
package enum PureFunctions {
    /// Of the grammar: no function can have such a name, or nobody gives it to one.
    static let syntax = [
        "in", "any", "some", "array", "row", "exists", "cast", "treat", "extract", "overlay", "trim", "both",
        "leading", "trailing", "position", "coalesce", "nullif", "greatest", "least", "grouping", "sets", "rollup",
        "cube", "by", "on", "using", "from", "where", "having", "join", "lateral", "union", "intersect", "except",
        "distinct", "and", "when", "then", "else", "limit", "offset", "fetch", "between", "like", "ilike", "similar",
        "is", "over", "filter", "group", "window", "materialized", "rows", "tablesample", "bernoulli", "system",
        "repeatable", "xmlelement", "xmlattributes", "xmlforest", "xmlconcat", "xmlparse", "xmlpi", "xmlroot",
        "xmlserialize", "xmltable", "xmlexists", "xmlnamespaces", "passing", "path", "json", "jsonb",
        // Types with a modifier, as in numeric(10, 2).
        "bit", "varying", "char", "character", "nchar", "varchar", "bpchar", "dec", "decimal", "numeric", "float",
        "interval", "timestamp", "timestamptz", "timetz", "current_time", "current_timestamp", "localtime",
        "localtimestamp",
    ]

    /// Functions of `pg_catalog`.
    package static let builtIn = numbers + texts + times + aggregates + documents + collections + search + catalog

    private static let numbers = [
        "abs", "acos", "acosd", "acosh", "asin", "asind", "asinh", "atan", "atan2", "atan2d", "atand", "atanh", "cbrt",
        "ceil", "ceiling", "cos", "cosd", "cosh", "cot", "cotd", "degrees", "div", "exp", "factorial", "floor", "gcd",
        "lcm", "ln", "log", "log10", "min_scale", "mod", "pi", "power", "pow", "radians", "random", "round", "scale",
        "sign", "sin", "sind", "sinh", "sqrt", "tan", "tand", "tanh", "trim_scale", "trunc", "width_bucket",
        "float4", "float8", "int2", "int4", "int8", "bit_count", "get_bit", "get_byte", "set_bit", "set_byte",
        "hashtext", "hashtextextended", "hashint4", "hashint8", "gen_random_uuid",
    ]

    private static let texts = [
        "ascii", "bit_length", "btrim", "char_length", "character_length", "chr", "concat", "concat_ws", "convert",
        "convert_from", "convert_to", "decode", "encode", "format", "initcap", "is_normalized", "left", "length",
        "lower", "lpad", "ltrim", "md5", "normalize", "octet_length", "parse_ident", "quote_ident", "quote_literal",
        "quote_nullable", "regexp_count", "regexp_instr", "regexp_like", "regexp_match", "regexp_matches",
        "regexp_replace", "regexp_split_to_array", "regexp_split_to_table", "regexp_substr", "repeat", "reverse",
        "right", "rpad", "rtrim", "sha224", "sha256", "sha384", "sha512", "split_part", "starts_with",
        "string_to_array", "string_to_table", "strpos", "substr", "substring", "text", "to_ascii", "to_char", "to_hex",
        "to_number", "translate", "unistr", "upper",
    ]

    private static let times = [
        "age", "clock_timestamp", "date", "date_bin", "date_part", "date_trunc", "isfinite", "justify_days",
        "justify_hours", "justify_interval", "make_date", "make_interval", "make_time", "make_timestamp",
        "make_timestamptz", "now", "overlaps", "pg_sleep", "pg_sleep_for", "pg_sleep_until", "statement_timestamp",
        "timeofday", "timezone", "to_date", "to_timestamp", "transaction_timestamp",
    ]

    private static let aggregates = [
        "array_agg", "avg", "bit_and", "bit_or", "bit_xor", "bool_and", "bool_or", "corr", "count", "covar_pop",
        "covar_samp", "cume_dist", "dense_rank", "every", "first_value", "json_agg", "json_object_agg", "jsonb_agg",
        "jsonb_object_agg", "lag", "last_value", "lead", "max", "min", "mode", "nth_value", "ntile", "percent_rank",
        "percentile_cont", "percentile_disc", "range_agg", "range_intersect_agg", "rank", "regr_avgx", "regr_avgy",
        "regr_count", "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy", "row_number",
        "stddev", "stddev_pop", "stddev_samp", "string_agg", "sum", "var_pop", "var_samp", "variance", "xmlagg",
    ]

    private static let documents = [
        "array_to_json", "json_array_elements", "json_array_elements_text", "json_array_length", "json_build_array",
        "json_build_object", "json_each", "json_each_text", "json_extract_path", "json_extract_path_text",
        "json_object", "json_object_keys", "json_populate_record", "json_populate_recordset", "json_strip_nulls",
        "json_to_record", "json_to_recordset", "json_typeof", "jsonb_array_elements", "jsonb_array_elements_text",
        "jsonb_array_length", "jsonb_build_array", "jsonb_build_object", "jsonb_concat", "jsonb_contains",
        "jsonb_delete", "jsonb_delete_path", "jsonb_each", "jsonb_each_text", "jsonb_exists", "jsonb_exists_all",
        "jsonb_exists_any", "jsonb_extract_path", "jsonb_extract_path_text", "jsonb_insert", "jsonb_object",
        "jsonb_object_keys", "jsonb_path_exists", "jsonb_path_exists_tz", "jsonb_path_match", "jsonb_path_match_tz",
        "jsonb_path_query", "jsonb_path_query_array", "jsonb_path_query_array_tz", "jsonb_path_query_first",
        "jsonb_path_query_first_tz", "jsonb_path_query_tz", "jsonb_populate_record", "jsonb_populate_recordset",
        "jsonb_pretty", "jsonb_set", "jsonb_set_lax", "jsonb_strip_nulls", "jsonb_to_record", "jsonb_to_recordset",
        "jsonb_typeof", "row_to_json", "to_json", "to_jsonb", "xmlcomment", "xml_is_well_formed",
        "xml_is_well_formed_content", "xml_is_well_formed_document", "xpath", "xpath_exists",
    ]

    private static let collections = [
        "array_append", "array_cat", "array_dims", "array_fill", "array_length", "array_lower", "array_ndims",
        "array_position", "array_positions", "array_prepend", "array_remove", "array_replace", "array_to_string",
        "array_upper", "cardinality", "trim_array", "unnest", "generate_series", "generate_subscripts", "enum_first",
        "enum_last", "enum_range", "num_nonnulls", "num_nulls", "isempty", "lower_inc", "lower_inf", "upper_inc",
        "upper_inf", "multirange", "range_merge", "daterange", "int4range", "int8range", "numrange", "tsrange",
        "tstzrange", "datemultirange", "int4multirange", "int8multirange", "nummultirange", "tsmultirange",
        "tstzmultirange", "abbrev", "broadcast", "family", "host", "hostmask", "inet_merge", "inet_same_family",
        "masklen", "netmask", "network", "set_masklen", "area", "center", "diagonal", "diameter", "height", "isclosed",
        "isopen", "npoints", "radius", "slope", "width", "box", "bound_box", "circle", "line", "lseg", "point",
        "polygon",
    ]

    private static let search = [
        "array_to_tsvector", "get_current_ts_config", "json_to_tsvector", "jsonb_to_tsvector", "numnode",
        "phraseto_tsquery", "plainto_tsquery", "querytree", "setweight", "strip", "to_tsquery", "to_tsvector",
        "ts_delete", "ts_filter", "ts_headline", "ts_rank", "ts_rank_cd", "tsquery_phrase", "tsvector_to_array",
        "websearch_to_tsquery",
    ]

    private static let catalog = [
        "col_description", "current_database", "current_schema", "current_schemas", "format_type",
        "has_any_column_privilege", "has_column_privilege", "has_database_privilege", "has_function_privilege",
        "has_schema_privilege", "has_sequence_privilege", "has_table_privilege", "has_tablespace_privilege",
        "has_type_privilege", "obj_description", "shobj_description", "pg_char_to_encoding", "pg_client_encoding",
        "pg_collation_is_visible", "pg_column_size", "pg_describe_object", "pg_encoding_to_char",
        "pg_function_is_visible", "pg_get_constraintdef", "pg_get_expr", "pg_get_function_arguments",
        "pg_get_function_identity_arguments", "pg_get_function_result", "pg_get_functiondef", "pg_get_indexdef",
        "pg_get_keywords", "pg_get_partition_constraintdef", "pg_get_partkeydef", "pg_get_ruledef",
        "pg_get_serial_sequence", "pg_get_statisticsobjdef", "pg_get_triggerdef", "pg_get_userbyid", "pg_get_viewdef",
        "pg_has_role", "pg_identify_object", "pg_opclass_is_visible", "pg_operator_is_visible",
        "pg_opfamily_is_visible", "pg_partition_ancestors", "pg_partition_root", "pg_partition_tree",
        "pg_size_bytes", "pg_size_pretty", "pg_table_is_visible", "pg_type_is_visible", "pg_typeof",
        "pg_ts_config_is_visible", "pg_wal_lsn_diff", "pg_relation_is_updatable", "pg_column_is_updatable",
        "pg_database_size", "pg_indexes_size", "pg_relation_size", "pg_table_size", "pg_tablespace_size",
        "pg_total_relation_size", "row_security_active", "to_regclass", "to_regcollation", "to_regnamespace",
        "to_regoper", "to_regoperator", "to_regproc", "to_regprocedure", "to_regrole", "to_regtype", "version",
    ]

    /// Of those, what `pg_proc` calls volatile although a standby answers it as well.
    package static let volatileButPure: Set<String> = [
        "random", "clock_timestamp", "timeofday", "gen_random_uuid", "pg_sleep", "pg_sleep_for", "pg_sleep_until",
        "pg_database_size", "pg_indexes_size", "pg_relation_size", "pg_table_size", "pg_tablespace_size",
        "pg_total_relation_size", "pg_partition_ancestors", "pg_partition_tree",
    ]
}
