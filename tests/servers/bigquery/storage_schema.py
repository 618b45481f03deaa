"""Columns as the Storage APIs' TableSchema."""

from google.cloud.bigquery_storage_v1 import types

from .schema import Field

TYPES = {"INTEGER": "INT64", "FLOAT": "DOUBLE", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}
MODES = {"NULLABLE": 1, "REQUIRED": 2, "REPEATED": 3}


def table_schema(fields):
    made = types.TableSchema.pb()()
    for field in fields:
        fill(made.fields.add(), field)
    return made


def fill(made, field: Field) -> None:
    made.name, made.mode = field.name, MODES[field.mode]
    made.type_ = int(types.TableFieldSchema.Type[TYPES.get(field.type, field.type)])
    if field.description:
        made.description = field.description
    if field.element:
        made.range_element_type.type_ = int(types.TableFieldSchema.Type[field.element])
    for name, rest in (("max_length", "maxLength"), ("precision", "precision"), ("scale", "scale")):
        if field.extra(rest):
            setattr(made, name, int(field.extra(rest)))
    if field.extra("defaultValueExpression"):
        made.default_value_expression = field.extra("defaultValueExpression")
    for child in field.fields:
        fill(made.fields.add(), child)
