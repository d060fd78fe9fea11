"""Making two types one: binding what is not known yet (J. A. Robinson, 1965)."""

from dolbuild.analysis import types as ty


def resolve(type_: ty.Type) -> ty.Type:
    """The type behind a variable, as far as it is known; only the outermost layer."""
    while isinstance(type_, ty.Variable) and type_.bound is not None:
        type_ = type_.bound
    return type_


def known(type_: ty.Type) -> ty.Type:
    """The type with every variable replaced that is known."""
    type_ = resolve(type_)
    match type_:
        case ty.Named(symbol, arguments) if arguments:
            return ty.Named(symbol, tuple(map(known, arguments)))
        case ty.TupleOf(items):
            return ty.TupleOf(tuple(map(known, items)))
        case ty.RecordOf(fields):
            return ty.RecordOf(tuple((name, known(field)) for name, field in fields))
        case ty.FunctionOf(parameters, result):
            return ty.FunctionOf(tuple(map(known, parameters)), known(result))
        case _:
            return type_


def parts(type_: ty.Type) -> tuple[ty.Type, ...]:
    """The types right inside of one that is resolved."""
    match type_:
        case ty.Named(_, arguments):
            return arguments
        case ty.TupleOf(items):
            return items
        case ty.RecordOf(fields):
            return tuple(field for _, field in fields)
        case ty.FunctionOf(parameters, result):
            return (*parameters, result)
        case _:
            return ()


def has_variable(type_: ty.Type) -> bool:
    """Whether a part of the type is not known yet."""
    type_ = resolve(type_)
    return isinstance(type_, ty.Variable) or any(map(has_variable, parts(type_)))


def mentions(type_: ty.Type, generic: str) -> bool:
    """Whether a type parameter occurs in a type."""
    type_ = resolve(type_)
    return type_ == ty.GenericOf(generic) or any(mentions(part, generic) for part in parts(type_))


def unify(left: ty.Type, right: ty.Type) -> bool:
    """Make two types the same by binding variables; False where that cannot be. What was bound on the way
    stays bound: the caller reports an error then, and goes on with `UNKNOWN`."""
    left, right = resolve(left), resolve(right)
    if left is right or left == right:
        return True
    if isinstance(left, ty.Variable):
        return _bind(left, right)
    if isinstance(right, ty.Variable):
        return _bind(right, left)
    if ty.UNKNOWN in (left, right) or ty.NEVER in (left, right):
        return True
    match left, right:
        case ty.Named(a, first), ty.Named(b, second):
            return a == b and len(first) == len(second) and all(map(unify, first, second))
        case ty.TupleOf(first), ty.TupleOf(second):
            return len(first) == len(second) and all(map(unify, first, second))
        case ty.RecordOf(first_fields), ty.RecordOf(second_fields):
            return [name for name, _ in first_fields] == [name for name, _ in second_fields] and all(
                unify(a, b) for (_, a), (_, b) in zip(first_fields, second_fields, strict=True)
            )
        case ty.FunctionOf(first, a_result), ty.FunctionOf(second, b_result):
            return len(first) == len(second) and all(map(unify, first, second)) and unify(a_result, b_result)
        case _:
            return False


def _bind(variable: ty.Variable, type_: ty.Type) -> bool:
    if _occurs(variable, type_):
        return False
    variable.bound = type_
    return True


def _occurs(variable: ty.Variable, type_: ty.Type) -> bool:
    type_ = resolve(type_)
    return type_ is variable or any(_occurs(variable, part) for part in parts(type_))
