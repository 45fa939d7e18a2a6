"""The tool of the examples."""


def get_weather(city: str, days: int, unit: str) -> str:
    """The weather in a city for the next days, in celsius or fahrenheit."""
    return f"Sunny in {city} for {days} days, at {21 if unit == 'celsius' else 70} degrees {unit}."
