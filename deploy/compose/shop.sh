#!/bin/bash
# A shop to begin with, and the role that Penstock reads it by. Run once, by PostgreSQL's image, in an empty data folder.
set -euo pipefail
psql --set ON_ERROR_STOP=1 --set password="$SHOP_PASSWORD" --username postgres <<'SQL'
CREATE ROLE penstock LOGIN REPLICATION PASSWORD :'password';
CREATE DATABASE shop;
\connect shop
CREATE TABLE public.customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE public.orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES public.customers,
  amount numeric(12, 2) NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now());
INSERT INTO public.customers (name) SELECT 'Customer ' || n FROM generate_series(1, 100) n;
INSERT INTO public.orders (customer_id, amount) SELECT 1 + n % 100, n * 1.5 FROM generate_series(1, 1000) n;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO penstock;
SQL
