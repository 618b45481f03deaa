// What Google's Node client says of the stand-in, as one JSON object. Arguments: endpoint, a file of JSON lines.
const {BigQuery} = require('@google-cloud/bigquery');
const {PassThroughClient} = require('google-auth-library');
const [endpoint, lines] = process.argv.slice(2);
const said = {};
const refusal = async work => work.then(() => null, error => ({code: error.code, reason: (error.errors || [{}])[0].reason, message: error.message}));

async function main() {
  const client = new BigQuery({projectId: 'stand-in', apiEndpoint: endpoint, authClient: new PassThroughClient()});
  const [dataset] = await client.createDataset('node', {location: 'US'});
  const schema = [{name: 'id', type: 'INTEGER', mode: 'REQUIRED'}, {name: 'at', type: 'TIMESTAMP'}, {name: 'n', type: 'NUMERIC'},
    {name: 'items', type: 'RECORD', mode: 'REPEATED', fields: [{name: 'sku', type: 'STRING'}]}];
  const [table] = await dataset.createTable('t', {schema, timePartitioning: {type: 'DAY', field: 'at'}, clustering: {fields: ['id']}, description: 'made by node'});
  const [metadata] = await table.getMetadata();
  said.metadata = {partitioning: metadata.timePartitioning, clustering: metadata.clustering, description: metadata.description};
  said.twice = await refusal(client.createDataset('node'));
  const [load] = await table.load(lines, {sourceFormat: 'NEWLINE_DELIMITED_JSON', jobId: 'load-once'});
  said.loaded = load.statistics.load.outputRows;
  await table.insert([{id: 3, n: '2.5'}]);
  said.bad = await table.insert([{id: 'x'}]).then(() => null, error => error.errors[0].errors[0].reason);
  const [rows] = await client.query({query: 'SELECT id, CAST(n AS STRING) AS n, items FROM node.t WHERE id >= @from ORDER BY id', params: {from: 1}});
  said.rows = rows;
  const [dry] = await client.createQueryJob({query: 'SELECT id FROM node.t', dryRun: true});
  said.dry = dry.metadata.statistics.totalBytesProcessed;
  await client.createQueryJob({query: 'SELECT 1', jobId: 'once'});
  said.duplicate = await refusal(client.createQueryJob({query: 'SELECT 1', jobId: 'once'}));
  const merge = `MERGE node.t T USING (SELECT 1 AS id UNION ALL SELECT 1) S ON T.id = S.id WHEN MATCHED THEN UPDATE SET n = 0`;
  said.merge = await refusal(client.query({query: merge}));
  said.budget = await refusal(client.query({query: 'SELECT id FROM node.t', maximumBytesBilled: '1'}));
  const [all] = await table.getRows({selectedFields: 'id'});
  said.listed = all.map(row => row.id).sort();
}

main().then(() => console.log(JSON.stringify(said)), error => {
  console.error(error);
  process.exit(1);
});
