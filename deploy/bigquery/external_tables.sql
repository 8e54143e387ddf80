-- The archive and the dead letters as external tables, read where they lie. Nothing is loaded or copied.
-- Run with the placeholders filled in:
--   PROJECT=… DATASET=hearthwatch OUTPUT=gs://bucket/monitor envsubst < external_tables.sql | bq query --use_legacy_sql=false
-- `hour` is text ('00' to '23'); a query must name the days it reads.

CREATE OR REPLACE EXTERNAL TABLE `${PROJECT}.${DATASET}.archive`
WITH PARTITION COLUMNS (day DATE, hour STRING)
OPTIONS (
  format = 'AVRO',
  enable_logical_types = TRUE,
  uris = ['${OUTPUT}/archive/*.avro'],
  hive_partition_uri_prefix = '${OUTPUT}/archive',
  require_hive_partition_filter = TRUE,
  description = 'One message as it arrived; may hold copies: group by gateway_id, epoch, seq.'
);

CREATE OR REPLACE EXTERNAL TABLE `${PROJECT}.${DATASET}.dead_letters`
WITH PARTITION COLUMNS (day DATE, hour STRING)
OPTIONS (
  format = 'AVRO',
  enable_logical_types = TRUE,
  uris = ['${OUTPUT}/dead_letters/*.avro'],
  hive_partition_uri_prefix = '${OUTPUT}/dead_letters',
  require_hive_partition_filter = TRUE,
  description = 'What was rejected, whole, with where and why.'
);
