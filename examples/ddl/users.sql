CREATE TABLE crm.users (
  id INT64 NOT NULL OPTIONS(description="The API's number of the user"),
  first_name STRING,
  last_name STRING,
  email STRING,
  created_at TIMESTAMP,
  updated_at TIMESTAMP OPTIONS(description="Set by the API at each change")
);
